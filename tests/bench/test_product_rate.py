"""benchmarks/product_rate.py: the operations it counts, and what it says of a case."""

import pytest
import torch

from elman.bench import CASES, Case, Effort
from tests.bench.scripts import loaded


@pytest.fixture
def script(monkeypatch):
    """The script, with a product that takes no time to speak of."""
    script = loaded("product_rate")
    monkeypatch.setattr(script, "SIZE", 64)
    threads = torch.get_num_threads()
    yield script
    torch.set_num_threads(threads)


def test_operations(script):
    one = Case("one", 2, 7, 3, 5)
    # x W_ihᵀ and h W_hhᵀ; and then W̄_ih, W̄_hh and δ W_hh
    assert script.operations(one, "forward") == 2 * 14 * (15 + 25)
    assert script.operations(one, "train") == 2 * 14 * (15 + 25 + 15 + 25 + 25)
    deep = Case("deep", 2, 7, 3, 5, num_layers=2, bidirectional=True)
    above = 2 * 14 * 2 * (50 + 25)
    assert script.operations(deep, "forward") == 2 * script.operations(one, "forward") + above
    back = 2 * 14 * 2 * (50 + 25 + 25 + 50)  # x̄ too, for the layer below
    assert script.operations(deep, "train") == 2 * script.operations(one, "train") + above + back
    assert script.operations(CASES["packed"], "forward") == 2 * 8016 * 2 * 128 * 128


def test_a_case(script, capsys):
    case = Case("small", 3, 9, 4, 8, bars={"torch": {"forward": 2.0, "train": 3.0}})
    rows = script.measured(case, Effort(3, 0.01, 1e-4))
    assert [row["pass"] for row in rows] == ["forward", "train"]
    for row in rows:
        share, most, ratio = (float(row[name]) for name in ("share", "at_most", "ratio"))
        assert share == pytest.approx(ratio / most, abs=0.02)
        assert row["judged"] == ""  # too small to be
    assert capsys.readouterr().out.count("\n") == 2
