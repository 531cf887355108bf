"""Does `elman predict` stay small however long its input is? Peak memory at growing sizes.

    elman demo && python benchmarks/predict_rows.py [ROWS]

Writes a CSV file of the demo's terms, over and over, of a hundredth, a tenth and all of ROWS
(default 1,000,000) rows, lets `elman predict` answer for it in a process of its own, counts the
answers, and prints what the process took. Exits with 1 where the largest took over 1.2 times the
memory of the smallest.
"""

import csv
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TERMS = HERE.parent / "examples" / "data" / "terms_zh.csv"


def main() -> None:
    """Print the table."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    run = Path("runs/demo/terms")
    if not (run / "config.json").is_file():
        sys.exit(f"{run}: not there; `elman demo` makes it")
    peaks = []
    print(f"{'rows':>9}  {'seconds':>7}  {'rows/s':>7}  {'peak MiB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in (most // 100, most // 10, most):
            seconds, peak = measured(run, rows, Path(folder))
            peaks.append(peak)
            print(f"{rows:>9}  {seconds:>7.1f}  {rows / seconds:>7.0f}  {peak:>8.0f}", flush=True)
    if peaks[-1] > 1.2 * peaks[0]:
        sys.exit("memory grows with the number of rows")


def measured(run: Path, rows: int, folder: Path) -> tuple[float, float]:
    """Seconds, and MiB at the most, of one `elman predict` over so many rows."""
    source, answers = folder / "rows.csv", folder / "answers.csv"
    terms = [row["term"] for row in csv.DictReader(TERMS.open(encoding="utf-8"))]
    with source.open("w", encoding="utf-8") as file:
        file.write("term\n")
        file.writelines(f"{term}\n" for term in itertools.islice(itertools.cycle(terms), rows))
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "elman", "predict", str(run), str(source), "-o", str(answers)],
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    with answers.open(encoding="utf-8") as file:
        written = sum(1 for _ in file) - 1
    if status or written != rows:
        sys.exit(f"elman predict ended with {status} after {written} of {rows} answers")
    return seconds, usage.ru_maxrss / 1024  # KiB on Linux


if __name__ == "__main__":
    main()
