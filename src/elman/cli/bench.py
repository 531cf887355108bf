"""`elman bench`: how fast the layer is on this machine, beside what else there is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elman.cli.console import line
from elman.errors import SettingError

if TYPE_CHECKING:
    from elman.bench import Case, Effort, Row


def bench(
    full: Annotated[
        bool, typer.Option("--full", help="The whole table: some minutes instead of seconds.")
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write the figures to a new .csv file too."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=512, help="CPU threads of everyone. [default: each case's own]"),
    ] = None,
) -> None:
    """Measure elman.RNN beside torch.nn.RNN, and beside jax and ONNX Runtime if they are there.

    Every answer is first held against float64; then all take turns, in one process a case, on the
    same number of cores. "elman is" says how many times as fast elman was: the ratio of medians.
    """
    from elman.bench import CASES, SHORT, Effort, write_rows

    if csv is not None and csv.exists():
        raise SettingError(f"--csv {csv}: it is there already; give another name")
    cases = list(CASES.values()) if full else [CASES[name] for name in SHORT]
    rows = _measured(cases, threads, Effort() if full else Effort(rounds=5, seconds=0.5))
    if csv is not None:
        try:
            write_rows(csv, rows)
        except OSError as error:
            raise SettingError(f"--csv {csv}: cannot be written: {error.strerror}") from None
        line("written", str(csv))


def _measured(cases: "list[Case]", threads: int | None, effort: "Effort") -> "list[Row]":
    """The rows of all cases, each told of when it is done; and then on what they were measured."""
    from elman.bench import measure, rows_of
    from elman.bench.measure import cores
    from elman.bench.report import HEAD, commit, lines_of, versions

    rows: list[Row] = []
    left_out: dict[str, str] = {}
    at = commit()
    print(HEAD)
    for case in cases:
        outcome = measure(case.on(threads or min(case.threads, cores())), effort=effort)
        of_case = rows_of(outcome, at)
        print("\n".join(lines_of(of_case)), flush=True)
        rows += of_case
        left_out |= {n: why for n, why in outcome.left_out.items() if "installed" in why}
    line("on", versions(rows[0]))
    for name, why in left_out.items():
        line("without", f"{name}: {why}")
    return rows
