"""What the commands print: a bar on a terminal, plain lines in a log, tables."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from elman.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from elman.tasks.classify.metrics import Report
    from elman.tasks.forecast.judge import Evaluation
    from elman.tasks.generate.generator import Judgement
    from elman.train import Progress

_CALLED = {"random_state": "seed"}  # settings whose option is not their name
_SILENCE = 15.0  # seconds without a word, at most, while a log is written


def line(label: str, text: str) -> None:
    """One fact: a word on the left, what there is to say on the right."""
    print(f"  {label:<10} {text}", flush=True)


def complain(error: Exception) -> None:
    """One error in one line, in one write: processes that end together keep theirs apart."""
    text = str(error)
    if isinstance(error, SettingError) and error.setting is not None:  # as it is called here
        name, wrong = error.setting
        text = f"--{_CALLED.get(name, name).replace('_', '-')}: {wrong}"
    sys.stderr.write(f"error: {' '.join(text.split())}\n")
    sys.stderr.flush()


@contextmanager
def training_progress() -> "Iterator[Callable[[Progress], None]]":
    """A function for a training to report to, and what it shows meanwhile."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield Log()
        return
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("  training  "),
        BarColumn(bar_width=16),
        TextColumn("{task.description}"),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None)

        def show(progress: "Progress") -> None:
            done = (progress.epoch - 1) * progress.steps + progress.step
            bar.update(
                task,
                total=progress.epochs * progress.steps,
                completed=done,
                description=f"epoch {progress.epoch}/{progress.epochs}  loss {progress.loss:.4f}  "
                f"{_rate(progress)}  eta at most {_time(progress.eta)}",
            )
            if progress.record:
                last[:] = [progress]
            if progress.sample is not None:
                bar.console.print(_sample(progress.sample), markup=False, highlight=False)

        last: list[Progress] = []
        yield show
    for progress in last:  # the bar is gone; what it came to stays
        _tell_epoch(progress)


class Log:
    """Lines for a log: one an epoch, and one now and then inside a long one."""

    def __init__(self) -> None:
        self.told = time.monotonic()

    def __call__(self, progress: "Progress") -> None:
        """Print what there is to say at this point."""
        if progress.record is not None:
            _tell_epoch(progress)
        elif time.monotonic() - self.told >= _SILENCE:
            print(
                f"  epoch {progress.epoch}/{progress.epochs}  step {progress.step}/"
                f"{progress.steps}  loss {progress.loss:.4f}  {_pace(progress)}",
                flush=True,
            )
        elif progress.sample is None:
            return
        if progress.sample is not None:
            print(_sample(progress.sample), flush=True)
        self.told = time.monotonic()


def _tell_epoch(progress: "Progress") -> None:
    record = progress.record
    assert record is not None
    figures = "  ".join(
        f"{name.removeprefix('valid_').replace('_', ' ')} {figure:.3f}"
        for name, figure in record.items()
        if name.startswith("valid_") and name != "valid_loss"
    )
    part = f" (stopped at step {record['steps']})" if "steps" in record else ""
    print(
        f"  epoch {progress.epoch}/{progress.epochs}{part}  loss {record['loss']:.4f}  "
        f"validation loss {record['valid_loss']:.4f}  {figures}  {_pace(progress)}",
        flush=True,
    )


def _pace(progress: "Progress") -> str:
    """How fast it goes, how long it took and may take."""
    return (
        f"lr {progress.lr:.2g}  {_rate(progress)}  {_time(progress.elapsed)}  "
        f"eta at most {_time(progress.eta)}"
    )


def _rate(progress: "Progress") -> str:
    rate = progress.rate
    return f"{rate:.0f} steps/s" if rate >= 10 else f"{rate:.2g} steps/s"


def _time(seconds: float) -> str:
    """Seconds as a person reads them.

    >>> _time(8.04), _time(754), _time(9000)
    ('8.0 s', '12 min 34 s', '2 h 30 min')
    """
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _sample(text: str) -> str:
    """A sample on one line."""
    shown = "".join("⏎" if c == "\n" else c if c.isprintable() else "·" for c in text)
    return f"  {'sample':<10} {shown}"


def print_report(report: "Report") -> None:
    """Accuracy beside the baseline, the figures of each class, and who was taken for whom."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    line("accuracy", f"{report.accuracy:.3f} on {report.rows} rows")
    line("baseline", f"{report.majority:.3f} by always answering the commonest class")
    table = Table("class", "precision", "recall", "F1", "rows")
    rows = zip(report.classes, report.precision, report.recall, report.f1, strict=True)
    for (name, *figures), count in zip(rows, report.confusion.sum(1), strict=True):
        table.add_row(str(name), *(f"{figure:.3f}" for figure in figures), str(count))
    console = Console(markup=False)
    console.print(table)
    confusion = Table("truth \\ answer", *map(str, report.classes))
    for name, counts in zip(report.classes, report.confusion, strict=True):
        confusion.add_row(str(name), *map(str, counts))
    if Measurement.get(console, console.options.update(width=10_000), confusion).maximum <= (
        console.width
    ):
        console.print(confusion)
    else:
        _print_mistakes(report)


def _print_mistakes(report: "Report", most: int = 20) -> None:
    """The commonest mistakes, where the confusion matrix is too wide to read."""
    import numpy as np

    counts = report.confusion.copy()
    np.fill_diagonal(counts, 0)
    line("mistakes", f"the commonest of {counts.sum()}; --json has the whole matrix")
    for k in counts.argsort(axis=None)[::-1][:most]:
        truth, answer = divmod(int(k), len(report.classes))
        if counts[truth, answer]:
            names = f"{report.classes[truth]} taken for {report.classes[answer]}"
            line("", f"{counts[truth, answer]:>5}  {names}")


def print_judgement(judgement: "Judgement") -> None:
    """How well a text is foretold, beside what the counts of its tokens alone would give."""
    of = judgement
    line("bits", f"{of.bits_per_character:.3f} per character, over {of.characters:,} characters")
    line("baseline", f"{of.unigram_bits:.3f} by how common each token is")
    line("perplexity", f"{of.perplexity:.2f} per token, {of.unknown:.2%} of them <unk>")


def print_evaluation(evaluation: "Evaluation", columns: list[str], seasons: list[int]) -> None:
    """Errors of forecasts beside those that need no learning, and how honest the intervals are."""
    of = evaluation
    line("origins", f"{of.origins} rows, from each of which {len(of.mae)} steps are forecast")
    for k, (name, season) in enumerate(zip(columns, seasons, strict=True)):  # each in its units
        ours, naive, seasonal = (errors[:, k].mean() for errors in (of.mae, of.naive, of.seasonal))
        mase = f"MASE {of.mases[k]:.3f}" if of.step[k] > 0 else "no MASE, it never changed before"
        line("MAE", f"{ours:.4g} ({name}); {mase}")
        other = f"{seasonal:.4g} seasonal-naive" if season > 1 else "no season"
        line("baseline", f"MAE {naive:.4g} naive, {other}")
        line("skill", f"{of.skills()[k]:+.3f} against the better of these")
    if len(columns) > 1:
        line("skill", f"{of.skill():+.3f}, mean of the columns")
    line("intervals", f"hold {of.coverage:.1%} of the values; {of.nominal:.0%} were asked for")


def print_classes(labels: list[str], most: int = 10) -> None:
    """How many rows each class has, the largest first, and what looks like a slip."""
    counts = Counter(label for label in labels if label)
    shown = ", ".join(f"{name!r} {count}" for name, count in counts.most_common(most))
    more = f", and {len(counts) - most} more" if len(counts) > most else ""
    line("classes", f"{len(counts)}: {shown}{more}")
    slips = sorted({name for name in counts if name != name.strip() and name.strip() in counts})
    if slips:
        line("beware", f"{slips[0]!r} and {slips[0].strip()!r} differ in blanks alone")
