"""What the three tasks share: arguments by name, a network on a device, saving and loading."""

import copy
import inspect
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn
from typing_extensions import Self

import elman
from elman.errors import (
    InterruptedTrainingError,
    NotFittedError,
    RunDirectoryError,
    SettingError,
)
from elman.tasks import newrun, rundir
from elman.tasks.config import About, RunConfig, first_problem
from elman.tasks.documents import CONFIG, Documents, packed, read_config
from elman.tasks.evidence import Evidence
from elman.tasks.livepage import with_page
from elman.tasks.onnx.export import Exported, export
from elman.tasks.onnx.file import opened
from elman.tasks.onnx.ports import Ports
from elman.tasks.onnx.runtime import RuntimeNetwork
from elman.tasks.report import report_page
from elman.tasks.settings import SINCE, Settings
from elman.train import Checkpoint, History, Lesson, Progress, Report, train

S = TypeVar("S", bound=Settings)
C = TypeVar("C", bound=RunConfig)
_MAY_CHANGE = {"epochs", "patience", "device", "encoder"}  # when a training goes on


class Task(ABC, Generic[S, C]):
    """The base of `Classifier`, `Generator` and `Forecaster`.

    Attributes:
        settings_: the arguments that were fitted.
        model_: the trained network.
        history_: a record for each epoch (`elman.train.History`).
        about: facts to save along in config.json (`elman.tasks.config.About`).
        evidence_: what report.html shows of its answers (`elman.tasks.evidence`); None where
            that is not known.
    """

    task: ClassVar[str]
    _settings_type: type[S]
    _config_type: type[C]
    _evidence_type: ClassVar[type[Evidence]] = Evidence
    evidence_: Evidence | None = None
    settings_: S
    model_: nn.Module
    history_: History
    about: About

    @classmethod
    def _names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def __repr__(self) -> str:
        """The arguments that differ from the defaults."""
        default = {n: p.default for n, p in inspect.signature(type(self)).parameters.items()}
        changed = {n: v for n, v in self.get_params().items() if v != default[n]}
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in changed.items())})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments, by name; `deep` is there for scikit-learn's callers."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, /, **params: Any) -> Self:
        """Change arguments by name; the next `fit` uses them."""
        for name, value in params.items():
            if name not in self._names():
                known = ", ".join(self._names())
                raise SettingError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {known}"
                )
            setattr(self, name, value)
        return self

    @abstractmethod
    def describe(self) -> str:
        """The network in a line."""

    def save(self, path: str | Path) -> Path:
        """Write a run directory that `load` and `elman predict` can use.

        It is written whole beside its place and then moved there. A run that is there already
        is moved aside to `path.bak-1`, `path.bak-2`, ...

        Returns:
            The directory.

        Raises:
            NotFittedError: before `fit` or `load`.
            RunDirectoryError: `path` holds something else, or cannot be written; or the model was
                read from an ONNX file.
        """
        self._check_in_torch("save it")
        with newrun.new_run(path) as run:
            self.write(run.staging)
        return run.target

    def write(self, directory: Path) -> None:
        """Write the files of a run into an empty directory; `save` does it safely."""
        self._check_in_torch("write it")
        config = self._new_config()
        records = self.history_.records
        pages = {
            "README.md": self._page(config),
            "report.html": report_page(config, records, self.describe(), self._answers()),
        }
        rundir.write_files(
            directory,
            config,
            self._documents(),
            self.model_.state_dict(),
            records,
            self.evidence_,
            pages,
        )

    def _new_config(self) -> C:
        return self._config(
            settings=self.settings_.model_dump(),
            about=self.about,
            versions={
                "elman": elman.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        )

    def to_onnx(self, path: str | Path) -> Exported:
        """Write one ONNX file that `load` and `elman predict` can use, and any ONNX Runtime.

        Any number of rows and steps, from 1 on, goes through it. Its metadata holds config.json and
        vocab.json or scaling.json as a run directory has them. Before it is put in its place
        ONNX Runtime is held against torch on inputs of many sizes. An older file of that name is
        moved aside to NAME.bak-1.onnx, NAME.bak-2.onnx, ...

        Returns:
            What goes in and comes out, the largest difference found, and other facts.

        Raises:
            NotFittedError: before `fit` or `load`.
            RunDirectoryError: it cannot be written, or ONNX Runtime answers otherwise than torch;
                or the model was itself read from an ONNX file.
            SettingError: the name does not end with .onnx, or a package is missing (extra "onnx").
            TrainingError: the network's numbers are not finite.
        """
        self._check_in_torch("export it")
        config = self._new_config()  # less the command, which names folders and files of its own
        about = config.about.model_copy(update={"command": None})
        documents = packed(config.model_copy(update={"about": about}), self._documents())
        return export(Path(path), self.model_, self._ports(), documents, f"elman {self.task}")

    def is_told_in(self, path: Path) -> bool:
        """Whether a run directory says the same of where the model comes from and how good it is,
        but for the command that made it.
        """
        try:
            there = read_config(rundir.RunDirectory(path), self._config_type).about
        except RunDirectoryError:
            return False
        return there.model_dump(exclude={"command"}) == self.about.model_dump(exclude={"command"})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a run directory. The network is on the CPU, wherever it was trained.

        Of an ONNX file that `to_onnx` wrote, ONNX Runtime runs the network. Such a model answers
        as any other; it has no weights to save or to export.

        Raises:
            RunDirectoryError: it is missing, damaged, or of another task or version.
        """
        path = Path(path)
        before = newrun.identity(path)
        try:
            return cls._load(path)
        except RunDirectoryError:
            if newrun.identity(path) == before:
                raise
            return cls._load(path)  # another process put a new run there meanwhile

    @classmethod
    def _load(cls, path: Path) -> Self:
        loaded = cls()
        documents = opened(path)
        config = read_config(documents, loaded._config_type)
        try:
            loaded.settings_ = loaded.set_params(**{**SINCE, **config.settings})._checked_settings()
        except SettingError as error:
            raise documents.damaged(CONFIG, str(error)) from None
        if lost := sorted(set(cls._names()) - set(config.settings) - set(SINCE)):
            raise documents.damaged(CONFIG, f"settings: {lost[0]} is missing")
        loaded._restore(documents, config)
        loaded.model_ = documents.network(config, loaded._new_network, loaded._ports())
        loaded.history_ = History(documents.records())
        loaded.evidence_ = documents.evidence(loaded._evidence_type)
        loaded.about = config.about
        return loaded

    @abstractmethod
    def loss_on(self, X: Any, y: Any = None) -> torch.Tensor:
        """The mean loss of the network on some data, a scalar tensor to differentiate."""

    @abstractmethod
    def _new_network(self) -> nn.Module:
        """The network of `settings_` and of what was learned of the data, with new weights."""

    @abstractmethod
    def _ports(self) -> Ports:
        """What goes into the network and comes out of it, for ONNX."""

    @abstractmethod
    def _config(self, **shared: Any) -> C:
        """config.json, with what this task adds to what all share."""

    @abstractmethod
    def _documents(self) -> dict[str, Any]:
        """What else was learned, as JSON by file name."""

    @abstractmethod
    def _restore(self, documents: Documents, config: C) -> None:
        """Take back what `_config` and `_documents` gave."""

    @abstractmethod
    def _page(self, config: C) -> str:
        """README.md of the run directory."""

    @abstractmethod
    def _answers(self) -> list[str]:
        """Sections of report.html on what the model says, where that is known."""

    def _checked_settings(self) -> S:
        try:
            values = {
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in self.get_params().items()
            }
            if values["random_state"] is None:
                values["random_state"] = int(np.random.SeedSequence().generate_state(1)[0])
            return self._settings_type.model_validate(values)
        except ValidationError as error:
            name, wrong = first_problem(error)
            task = type(self).__name__
            raise SettingError(f"{task}: {name}: {wrong}", (name, wrong)) from None

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            name = type(self).__name__
            raise NotFittedError(f"this {name} knows nothing yet; call fit, or {name}.load")

    def _check_in_torch(self, what: str) -> None:
        self._check_fitted()
        if isinstance(self.model_, RuntimeNetwork):
            raise RunDirectoryError(
                f"{self.model_.name}: an ONNX file can only be run; to {what}, load the run "
                "directory that it was exported from"
            )

    def _learn(
        self,
        lesson: Lesson,
        settings: S,
        data: str,
        report: Report | None,
        checkpoint: str | Path | None,
        resume: str | Path | bool,
        take: Callable[[Any, History], None],
        **plan: bool,
    ) -> History:
        """Train, and raise where nothing came of it.

        Args:
            lesson, settings: see `elman.train.train`.
            report: the same; each epoch it is handed the page of what is known by then.
            data: a digest of the data, the same where the data is the same.
            checkpoint: file to note the training in. None for none.
            resume: the file to go on from, or True for that of `checkpoint`.
            take: gives a task of this kind all that is learned, with the history so far.
            plan: what `elman.train.Plan` takes besides.
        """
        as_ever = {name for name, value in SINCE.items() if getattr(settings, name) == value}
        identity = settings.model_dump(exclude=_MAY_CHANGE | as_ever)
        place = None
        if checkpoint is not None:
            source = checkpoint if resume is True else (resume or None)
            place = Checkpoint(
                Path(checkpoint),
                {"task": self.task, **identity, "data": data},
                None if source is None else Path(source),
            )
            if resume and resume is not True and not Path(resume).is_file():
                raise SettingError(f"resume: {resume} is not there; name a file, or leave it out")
        elif resume:
            raise SettingError("resume needs a checkpoint; say which file, checkpoint=...")
        if report is not None:
            report = with_page(report, lambda progress: self._draft(take, progress))
        history = train(lesson, settings.plan(**plan), report=report, checkpoint=place)
        if not history.records:
            raise InterruptedTrainingError(
                "interrupted before the first step ended; nothing was learned"
            )
        return history

    def _draft(self, take: Callable[[Any, History], None], progress: Progress) -> str:
        """report.html of the network as it is while it is trained; this task stays as it was."""
        draft = copy.copy(self)
        take(draft, History(list(progress.records)))
        records, answers = draft.history_.records, draft._answers()
        return report_page(draft._new_config(), records, draft.describe(), answers, progress)


def rnn_in_words(of: Any, bidirectional: bool = False) -> str:
    """The recurrent layers of a task or its settings.

    >>> from types import SimpleNamespace
    >>> rnn_in_words(SimpleNamespace(num_layers=2, hidden_size=8, nonlinearity="relu", **SINCE))
    '2 layers of RNN 8 (relu)'
    """
    layers = "" if of.num_layers == 1 else f"{of.num_layers} layers of "
    both = "bidirectional " if bidirectional else ""
    words = {name: name.replace("_", " ") for name in SINCE}
    besides = [
        words[name] if getattr(of, name) is True else f"{words[name]} {getattr(of, name)}"
        for name, nothing in SINCE.items()
        if getattr(of, name) != nothing
    ]
    return f"{layers}{both}RNN {of.hidden_size} ({', '.join([of.nonlinearity, *besides])})"
