"""`elman.view`: a model and an input in, a page that shows what the network did out."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from torch import nn

from elman.errors import RunDirectoryError
from elman.models import LanguageModel, SequenceClassifier, SequenceRegressor
from elman.tasks import Classifier, Forecaster, Generator
from elman.tasks.newfile import NewFile, new_file
from elman.tasks.onnx.runtime import RuntimeNetwork
from elman.tasks.task import Task
from elman.view.limits import STEPS
from elman.view.models import reading_of
from elman.view.page import page_of
from elman.view.reading import Reading
from elman.view.stack import is_recurrent
from elman.view.tasks import READERS
from elman.view.trace import Trace, trace_of

_FRAME = (
    '<iframe sandbox="allow-scripts" title="{title}" srcdoc="{page}" '
    'style="width:100%;height:900px;border:0"></iframe>'
)


class View:
    """A network at work on one input: `save` writes it as a page, a notebook shows it.

    Attributes:
        trace: the numbers (`elman.view.trace.Trace`).
        title: of the page.
        html: the page, whole.
    """

    def __init__(self, trace: Trace, title: str) -> None:
        self.trace, self.title = trace, title
        self.html = page_of(trace.document(), title)

    def __repr__(self) -> str:
        """What it is of, and what to do with it."""
        kilobytes = len(self.html.encode()) / 1e3
        return f"<View of {self.title}, {kilobytes:.0f} kB; .save('page.html') writes it>"

    def _repr_html_(self) -> str:
        """For a notebook: in a frame that may run its own program and reach nothing else."""
        return _FRAME.format(title=escape(self.title), page=escape(self.html))

    def save(self, path: str | Path) -> NewFile:
        """Write the page. A file that is there already is moved aside, to NAME.bak-1.html, ...

        Returns:
            Where it is (`target`), and where an older one went (`moved_aside`).

        Raises:
            RunDirectoryError: it cannot be written.
        """
        with new_file(Path(path)) as file:
            file.staging.write_text(self.html, "utf-8")
        return file


def view(
    model: Any,
    x: Any,
    h_0: Any = None,
    *,
    row: int = 0,
    steps: int = STEPS,
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> View:
    """Look inside a network while it reads one input, step by step.

    Args:
        model: an RNN or RNNCell of elman's or torch's, with whatever dynamics, wiring and
            nonlinearity it has; a `ConcatRNN` or another of `elman.models`; or a fitted
            `Classifier`, `Generator` or `Forecaster`.
        x: what it reads. Of a network: as it takes it, a batch (packed or nested too) or one row
            of it, (L, F), or token ids (L,). Of a task: one text, or one sequence of numbers, or
            the series.
        h_0: of a network, the state to begin with, as it takes it. Default: zeros, or what it
            learned.
        row: which row of a batch. Default: 0.
        steps: how many of the last steps are shown, at most 1000; all are read. Default: 100.
        labels: of a network, what to call the L steps. Default: numbers, or token ids.
        title: of the page. Default: of a text, the text; else the network.

    Returns:
        What shows itself in a notebook; `.save("page.html")` writes one file that needs no network.

    Raises:
        TypeError: the model is none of these.
        ValueError: shapes do not fit; or an ElmanError, as the task raises it.

    >>> import torch
    >>> page = view(torch.nn.RNN(3, 8), torch.randn(5, 3))
    >>> page.trace.chains[0].states.shape
    torch.Size([5, 8])
    >>> "<html" in page.html, page.title
    (True, 'torch.RNN(3, 8)')
    """
    if isinstance(model, Task):
        if h_0 is not None or labels is not None:
            name = "h_0" if h_0 is not None else "labels"
            raise ValueError(f"{name} is for a network; a {type(model).__name__} needs none")
        return view_reading(task_reading(model, x), steps, title or _named(x))
    models = (SequenceClassifier, LanguageModel, SequenceRegressor)
    if not isinstance(model, nn.Module) or not (is_recurrent(model) or isinstance(model, models)):
        raise TypeError(
            "model should be an RNN or RNNCell of elman or torch, one of elman.models, or a "
            f"Classifier, Generator or Forecaster, got {type(model).__name__}; of a larger model "
            "give the recurrent layer and what it reads"
        )
    return view_reading(reading_of(model, x, h_0, row, labels), steps, title)


def task_reading(model: Task, x: Any, **more: Any) -> Reading:
    """A fitted task reading one input.

    Raises:
        RunDirectoryError: it was read from an ONNX file, which can only be run.
        NotFittedError: it has learned nothing yet.
    """
    model._check_fitted()
    if isinstance(model.model_, RuntimeNetwork):
        raise RunDirectoryError(f"{model.model_.name}: {NO_INSIDE}")
    for kind in (Classifier, Generator, Forecaster):
        if isinstance(model, kind):
            return READERS[kind](model, x, **more)
    raise TypeError(f"model should be a known task, got {type(model).__name__}")


NO_INSIDE = (
    "an ONNX file can only be run; to see inside, give the run directory that it was exported from"
)


def view_reading(reading: Reading, steps: int, title: str | None) -> View:
    """Step through it and make the page."""
    return View(trace_of(reading, steps), title or reading.network)


def _named(x: Any) -> str | None:
    return x if isinstance(x, str) and x.strip() else None
