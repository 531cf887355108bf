"""How near elman.RNN comes to torch's matrix product, and what ratio that rate would give.

    python benchmarks/product_rate.py [--only NAME] [--write]

For the cases of `elman.bench.CASES`, forward and a training step to all weights, turn by turn in
one process with torch.nn.RNN and a product of two 2048 × 2048 matrices, float32, on the case's
number of threads, after a gate: output and gradients against torch.nn.RNN's in float64, as the
other benchmarks have it. "share" is elman's rate over the product's, where only the
multiplications of the recurrence's own matrices count, the nonlinearity and everything else is
time lost. "at most" is the ratio to torch.nn.RNN that a layer would have whose every
multiplication ran at the product's rate and which did nothing else. A share of at least 0.8 is
wanted from N 32 and H 128 on; exits with 1 where one is below, with 2 on a red gate. `--write`
keeps the table in benchmarks/results/product_rate.csv.
"""

import argparse
import sys
from pathlib import Path

import torch

import elman
from elman.bench import CASES, Case, Effort
from elman.bench.facts import cpu
from elman.bench.gate import Answer, RedGateError, hold
from elman.bench.gate import rows as rows_of
from elman.bench.layers import ElmanRNN, TorchRNN, truth
from elman.bench.report import commit, today, write_rows
from elman.bench.timing import alternate, median
from elman.bench.work import new_work

SIZE = 2048  # of the product
WANTED = 0.8
RESULTS = Path(__file__).resolve().parent / "results" / "product_rate.csv"


def operations(case: Case, of: str) -> int:
    """Additions and multiplications of the products in a pass.

    >>> operations(Case("one", 1, 1, 3, 5), "forward")  # x W_ihᵀ and h W_hhᵀ
    80
    >>> operations(Case("one", 1, 1, 3, 5), "train")  # and W̄_ih, W̄_hh and δ W_hh
    210
    """
    count, K = 0, case.H_in
    for k in range(case.num_layers):
        both = case.H * (K + case.H)
        back = both + case.H * case.H + (case.H * K if k else 0)  # x̄ for the layer below
        count += case.directions * (both + (back if of == "train" else 0))
        K = case.directions * case.H
    return 2 * rows_of(case) * count


def measured(case: Case, effort: Effort) -> list[dict[str, str]]:
    """A row for each pass, each printed."""
    torch.set_num_threads(case.threads)
    work = new_work(case)
    ours, theirs = ElmanRNN(work), TorchRNN(work)
    answers = {c.name: Answer(c.output(), c.gradients()) for c in (ours, theirs)}
    hold(case, answers, Answer(*truth(work)))
    matrix, to = torch.randn(SIZE, SIZE), torch.empty(SIZE, SIZE)
    rows = []
    for of in case.passes:
        samples = alternate(
            {
                "elman": getattr(ours, of),
                "torch": getattr(theirs, of),
                "product": lambda: torch.mm(matrix, matrix, out=to),
            },
            effort,
        )
        seconds = {name: median(times) for name, times in samples.items()}
        rate = 2 * SIZE**3 / seconds["product"]
        floor = operations(case, of) / rate
        share = floor / seconds["elman"]
        judged = case.N >= 32 and case.H >= 128
        row = {
            "case": case.name, "shape": case.shape, "threads": str(case.threads), "pass": of,
            "elman_ms": f"{1e3 * seconds['elman']:.3f}",
            "torch_ms": f"{1e3 * seconds['torch']:.3f}",
            "product_gflops": f"{rate / 1e9:.1f}", "share": f"{share:.2f}",
            "ratio": f"{seconds['torch'] / seconds['elman']:.2f}",
            "at_most": f"{seconds['torch'] / floor:.2f}",
            "bar": f"{case.bar('torch', of) or ''}",
            "judged": ("within" if share >= WANTED else "below") if judged else "",
        }  # fmt: skip
        rows.append(row)
        print(
            f"{case.name:<11}{of:<9}{row['elman_ms']:>9} ms{row['product_gflops']:>10}"
            f"{row['share']:>8}{row['ratio']:>8}{row['at_most']:>9}{row['bar']:>6}  "
            f"{row['judged']}".rstrip(),
            flush=True,
        )
    return rows


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="this case; repeatable")
    parser.add_argument("--rounds", type=int, default=9, help="samples at least (9)")
    parser.add_argument("--seconds", type=float, default=3.0, help="a pass at least (3)")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {RESULTS.name}")
    asked = parser.parse_args()
    known = {name: case for name, case in CASES.items() if not case.step}
    if unknown := [name for name in asked.only or () if name not in known]:
        parser.error(f"--only {unknown[0]}: no such case; there are {', '.join(known)}")
    if asked.only and asked.write:
        parser.error("--write keeps the whole table; leave out --only")
    print(f"torch {torch.__version__}, elman {elman.__version__}, float32\n\n"
          f"{'case':<11}{'pass':<9}{'elman':>12}{'GFLOP/s':>10}{'share':>8}{'ratio':>8}"
          f"{'at most':>9}{'bar':>6}")  # fmt: skip
    rows = []
    try:
        for name in asked.only or known:
            rows += measured(known[name], Effort(asked.rounds, asked.seconds))
    except RedGateError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    below = sum(row["judged"] == "below" for row in rows)
    print(f"\n{below} of {sum(bool(row['judged']) for row in rows)} have a share below {WANTED}")
    if asked.write:
        write(rows)
    sys.exit(bool(below))


def write(rows: list[dict[str, str]]) -> None:
    """The table, with what it was measured with."""
    facts = {
        "elman": elman.__version__, "torch": torch.__version__, "cpu": cpu(),
        "instructions": torch.backends.cpu.get_cpu_capability(), "commit": commit(),
        "date": today(),
    }  # fmt: skip
    write_rows(RESULTS, [{**row, **facts} for row in rows], [*rows[0], *facts])


if __name__ == "__main__":
    main()
