"""What the commands print: a bar on a terminal, plain lines in a log, tables."""

import sys
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
    if not sys.stdout.isatty():
        yield _log
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("  training  "),
        BarColumn(bar_width=30),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
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

        yield show


def _log(progress: "Progress") -> None:
    if progress.record is None:
        return
    record = progress.record
    print(
        f"  epoch {progress.epoch}/{progress.epochs}  loss {record['loss']:.4f}  "
        f"held-out loss {record['valid_loss']:.4f}  accuracy {record['valid_accuracy']:.3f}  "
        f"{progress.elapsed:.1f} s  eta at most {progress.eta:.0f} s",
        flush=True,
    )


def print_report(report: "Report") -> None:
    """Accuracy beside the baseline, the figures of each class, and who was taken for whom."""
    from rich.console import Console
    from rich.table import Table

    line("accuracy", f"{report.accuracy:.3f} on {report.rows} rows")
    line("baseline", f"{report.majority:.3f} by always answering the commonest class")
    table = Table("class", "precision", "recall", "F1", "rows")
    rows = zip(report.classes, report.precision, report.recall, report.f1, strict=True)
    for (name, *figures), count in zip(rows, report.confusion.sum(1), strict=True):
        table.add_row(str(name), *(f"{figure:.3f}" for figure in figures), str(count))
    confusion = Table("truth \\ answer", *map(str, report.classes))
    for name, counts in zip(report.classes, report.confusion, strict=True):
        confusion.add_row(str(name), *map(str, counts))
    console = Console(markup=False)
    console.print(table)
    console.print(confusion)
