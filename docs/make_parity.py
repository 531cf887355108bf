"""Write docs/parity.md: elman.RNN beside torch.nn.RNN for every combination of arguments.

Run from anywhere: python docs/make_parity.py
"""

import platform
import sys
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import torch

import elman

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the table of cases is the tests' own

from tests.nn.parity import ARGUMENTS, FORMS, H_IN, H_OUT, L, N, both, combinations  # noqa: E402
from tests.tolerances import distance  # noqa: E402

ROWS = ("num_layers", "nonlinearity", "bias", "bidirectional", "dropout")
PAGE = """# Parity with torch.nn.RNN

Each cell is the largest absolute difference between `elman.RNN` and `torch.nn.RNN`, in float64,
over the output, h_n and the gradient of every input and parameter, with `batch_first` on and off
and with hx given or not: {each} comparisons a cell, {cases} in all. Made by
`python docs/make_parity.py` with elman {elman}, torch {torch} and Python {python}, on the CPU.

The sizes are L = {L}, N = {N}, H_in = {H_IN}, H_out = {H_OUT}; packed rows have 5, 3 and 1 steps.
Both layers have the same parameters and are in training mode, with the same seed before each
call: with dropout the two draw the same masks. A 0 means that every number is the same to the
last bit. Other numbers are rounding: one double near 1 is {eps} from the next. The largest is
{largest}. `tests/nn/test_parity.py` holds the same cases to 1e-12, and in float32, for a part also
in bfloat16 and float16, to twice torch's own error and a few ulps. `tests/nn/test_modes.py` lists
what differs on purpose.

{table}
"""


def largest(values: Iterable[float]) -> float:
    """The largest, and NaN if any is: max() would lose it."""
    return torch.tensor(list(values), dtype=torch.float64).max().item()


def difference(arguments: dict, form: str, with_hx: bool) -> float:
    """The largest difference of any output or gradient in one case."""
    ours, theirs = both(arguments, form, with_hx)
    if list(ours) != list(theirs):
        raise ValueError(f"{arguments}, {form}: {list(ours)} are not torch's {list(theirs)}")
    return largest(distance(ours[name], theirs[name]) for name in theirs)


def cell(fixed: dict, form: str) -> float:
    """The largest difference over what the table does not spell out."""
    return largest(
        difference(arguments, form, with_hx)
        for arguments in combinations(**fixed)
        for with_hx in (False, True)
    )


def shown(value: object) -> str:
    """A value as it stands in the table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < value < 0.1 else f"{value:g}"
    return str(value)


def main() -> None:
    """Compare everything and write the page."""
    lines = [" | ".join((*ROWS, *FORMS)), " | ".join(["---"] * (len(ROWS) + len(FORMS)))]
    differences = []
    for values in product(*(ARGUMENTS[name] for name in ROWS)):
        cells = [cell(dict(zip(ROWS, values, strict=True)), form) for form in FORMS]
        differences += cells
        lines.append(" | ".join(shown(value) for value in (*values, *cells)))
    each = 2 * len(ARGUMENTS["batch_first"])
    page = PAGE.format(
        each=each,
        cases=each * len(differences),
        elman=elman.__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        L=L,
        N=N,
        H_IN=H_IN,
        H_OUT=H_OUT,
        eps=shown(torch.finfo(torch.float64).eps),
        largest=shown(largest(differences)),
        table="\n".join(f"| {line} |" for line in lines),
    )
    (ROOT / "docs" / "parity.md").write_text(page, encoding="utf-8")
    print(f"docs/parity.md: {len(differences)} cells, the largest {shown(largest(differences))}")


if __name__ == "__main__":
    main()
