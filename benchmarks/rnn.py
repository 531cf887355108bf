"""elman.RNN against torch.nn.RNN, jax.jit(lax.scan) and ONNX Runtime, on this CPU.

    pip install -c constraints.txt '.[bench]' && python benchmarks/rnn.py [--only NAME] [--grid]

Measures every case of `elman.bench.CASES` after its gate, prints the table, and writes
benchmarks/results/cpu.csv and docs/speed.svg. With `--only`, which may be repeated, it prints
alone; with `--grid` every shape of the grid is measured, against torch.nn.RNN only, into
benchmarks/results/grid.csv. Exits with 1 where a ratio is below its bar, and with 2 on a mistake
or a red gate.
"""

import argparse
import sys
from pathlib import Path

from elman.bench import CASES, Case, Effort, Row, grid, measure, rows_of, write_rows
from elman.bench.chart import chart
from elman.bench.measure import RIVALS, check_cores
from elman.bench.report import HEAD, commit, lines_of, versions
from elman.errors import ElmanError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="this case; repeatable")
    parser.add_argument("--grid", action="store_true", help="every shape, against torch.nn.RNN")
    parser.add_argument("--threads", type=int, help="instead of the cases' own")
    parser.add_argument("--rounds", type=int, default=7, help="samples at least (7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="a pass at least (2)")
    asked = parser.parse_args()
    known = {case.name: case for case in grid()} if asked.grid else CASES
    if unknown := [name for name in asked.only or () if name not in known]:
        parser.error(f"--only {unknown[0]}: no such case; there are {', '.join(known)}")
    cases = [known[name] for name in asked.only or known]
    if asked.threads:
        cases = [case.on(asked.threads) for case in cases]
    effort = Effort(asked.rounds, asked.seconds)
    try:
        for case in cases:
            check_cores(case)
        rows = measured(cases, RIVALS[:1] if asked.grid else RIVALS, effort)
    except ElmanError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if not asked.only:
        write_rows(RESULTS / ("grid.csv" if asked.grid else "cpu.csv"), rows)
        if not asked.grid:
            (ROOT / "docs" / "speed.svg").write_text(chart(rows), "utf-8")
    below = [row for row in rows if row["bar"] and float(row["ratio"]) < float(row["bar"])]
    print(f"\n  {len(below)} of {sum(bool(row['bar']) for row in rows)} ratios are below their bar")
    sys.exit(bool(below))


def measured(cases: list[Case], rivals: tuple[str, ...], effort: Effort) -> list[Row]:
    """The rows of all cases, each printed when it is done."""
    print(HEAD)
    at, rows = commit(), list[Row]()
    for case in cases:
        of_case = rows_of(measure(case, rivals, effort), at)
        print("\n".join(lines_of(of_case)), flush=True)
        rows += of_case
    print(f"\n  {versions(rows[0])}")
    return rows


if __name__ == "__main__":
    main()
