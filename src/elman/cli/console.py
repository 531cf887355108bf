"""What the commands print: a bar on a terminal, plain lines in a log, tables."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from elman.tasks.metrics import Report
    from elman.train import Progress


def line(label: str, text: str) -> None:
    """One fact: a word on the left, what there is to say on the right."""
    print(f"  {label:<10} {text}", flush=True)


@contextmanager
def training_progress() -> "Iterator[Callable[[Progress], None]]":
    """A function for a training to report to, and what it shows meanwhile."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield _log
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("  training  "),
        BarColumn(bar_width=30),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
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
                f"eta at most {progress.eta:.0f} s",
            )
            if progress.record:
                last[:] = [progress]

        last: list[Progress] = []
        yield show
    for progress in last:  # the bar is gone; what it came to stays
        _log(progress)


def _log(progress: "Progress") -> None:
    if progress.record is None:
        return
    record = progress.record
    print(
        f"  epoch {progress.epoch}/{progress.epochs}  loss {record['loss']:.4f}  "
        f"validation loss {record['valid_loss']:.4f}  accuracy {record['valid_accuracy']:.3f}  "
        f"{progress.elapsed:.1f} s  eta at most {progress.eta:.0f} s",
        flush=True,
    )


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


def print_classes(labels: list[str], most: int = 10) -> None:
    """How many rows each class has, the largest first, and what looks like a slip."""
    counts = Counter(labels)
    shown = ", ".join(f"{name!r} {count}" for name, count in counts.most_common(most))
    more = f", and {len(counts) - most} more" if len(counts) > most else ""
    line("classes", f"{len(counts)}: {shown}{more}")
    slips = sorted({name for name in counts if name != name.strip() and name.strip() in counts})
    if slips:
        line("beware", f"{slips[0]!r} and {slips[0].strip()!r} differ in blanks alone")
