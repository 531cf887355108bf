"""What came of it: rows for a CSV file, and a table to read."""

import csv
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeAlias

import elman
from elman.bench.measure import Outcome
from elman.bench.timing import median, ratio, spread
from elman.errors import DataError

#: A row for each case, pass and contestant. "ratio" is how many times as fast elman is as the
#: contestant, "bar" what is wanted of it; both are empty for elman itself. Seconds are of a call;
#: "iqr_s" is the interquartile range of "samples" samples. "error" is the largest as a share of
#: what the gate allows.
COLUMNS = (
    "case", "N", "L", "H_in", "H", "shape", "pass", "contestant", "threads", "median_s", "iqr_s",
    "samples", "ratio", "bar", "error", "elman", "backend", "torch", "jax", "onnxruntime",
    "python", "cpu", "instructions", "commit", "date",
)  # fmt: skip

Row: TypeAlias = dict[str, str]


def rows_of(outcome: Outcome, at: str, date: str | None = None) -> list[Row]:
    """An outcome as rows of `COLUMNS`.

    Args:
        outcome: of one case.
        at: the commit that was measured, see `commit`.
        date: of the measurement. Default: today, in UTC.
    """
    case = outcome.case
    date = date or today()
    rows = []
    for of, samples in outcome.samples.items():
        for name, seconds in samples.items():
            bar = case.bar(name, of)
            rows.append({
                "case": case.name, "N": str(case.N), "L": str(case.L), "H_in": str(case.H_in),
                "H": str(case.H), "shape": case.shape, "pass": of, "contestant": name,
                "threads": str(case.threads), "median_s": f"{median(seconds):.4g}",
                "iqr_s": f"{spread(seconds):.2g}", "samples": str(len(seconds)),
                "ratio": "" if name == "elman" else f"{ratio(samples['elman'], seconds):.3g}",
                "bar": "" if bar is None else f"{bar:g}",
                "error": f"{outcome.shares[name]:.2g}", **outcome.facts,
                "commit": at, "date": date,
            })  # fmt: skip
    return rows


def today() -> str:
    """The date, in UTC."""
    return datetime.now(timezone.utc).date().isoformat()


def commit() -> str:
    """The commit of the checkout that elman runs from; "" if it runs from none.

    "+dirty" is added where the files are not those of the commit.
    """
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        _said([*git, "ls-files", "--error-unmatch", elman.__file__])  # not only lies in one
        head = _said([*git, "rev-parse", "--short", "HEAD"])
        changed = _said([*git, "status", "--porcelain"])
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + "+dirty" * bool(changed)


def _said(command: list[str]) -> str:
    done = subprocess.run(  # noqa: S603 - git, with arguments of our own
        command, capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.strip()


def write_rows(
    path: Path, rows: Iterable[Mapping[str, object]], columns: Sequence[str] = COLUMNS
) -> None:
    """A CSV file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[Row]:
    """What `write_rows` wrote.

    Raises:
        DataError: it has other columns.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise DataError(f"{path}: the columns are not those of this version; measure anew")
        return list(reader)


HEAD = (
    f"  {'case':<12} {'pass':<8} {'contestant':<12} {'median':>9} {'± iqr':>9}  "
    f"{'elman is':>9}  {'bar':>5}"
)


def lines_of(rows: Sequence[Row]) -> list[str]:
    """The rows of one case under `HEAD`."""
    first = rows[0]
    plural = "s" * (first["threads"] != "1")
    lines = [f"  {first['case']}: {first['shape']}; {first['threads']} thread{plural}"]
    for row in rows:
        times = f"{row['ratio']}×" if row["ratio"] else ""
        lines.append(
            f"  {'':<12} {row['pass']:<8} {row['contestant']:<12} "
            f"{_seconds(row['median_s']):>9} {_seconds(row['iqr_s']):>9}  {times:>9}  "
            f"{row['bar']:>5}{_short(row)}"
        )
    return lines


def _short(row: Row) -> str:
    return "  below" if row["bar"] and float(row["ratio"]) < float(row["bar"]) else ""


def _seconds(text: str) -> str:
    """Seconds in a unit that suits them.

    >>> _seconds("0.01234"), _seconds("0.0000456"), _seconds("1.5")
    ('12.3 ms', '45.6 µs', '1.5 s')
    """
    seconds = float(text)
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def versions(row: Row) -> str:
    """On what it was measured, in a line."""
    packages = [f"{name} {row[name]}" for name in ("torch", "jax", "onnxruntime") if row[name]]
    elman = f"elman {row['elman']} ({row['backend']}; {row['commit'] or 'no checkout'})"
    system = f"python {row['python']}, {row['cpu']}, {row['instructions']}"
    return ", ".join([elman, *packages, system, row["date"]])
