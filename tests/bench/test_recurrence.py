"""The gate of benchmarks/recurrence.py: what is right passes, and a part that is wrong does not."""

import pytest
import torch

from elman.bench import Case
from elman.bench.gate import RedGateError
from tests.bench.scripts import loaded


@pytest.fixture
def script(monkeypatch):
    """The script at a small size."""
    script = loaded("recurrence")
    sizes = {"N": 3, "L": 9, "H_IN": 4, "H": 8}
    for name, size in {**sizes, "CASE": Case("small", 3, 9, 4, 8)}.items():
        monkeypatch.setattr(script, name, size)
    torch.manual_seed(0)
    return script


def test_every_part_passes(script):
    parts = script.parts()
    assert next(iter(parts)) == "plain"
    script.hold(parts, torch.randn(9, 3, 4))


@pytest.mark.parametrize("name", ["leak", "zoneout", "recurrent dropout", "mask", "reset"])
def test_a_part_that_is_not_what_it_says_does_not(script, name):
    parts = script.parts()
    parts[name] = parts[name]._replace(gates=lambda rnn: {})  # a plain layer is not that
    with pytest.raises(RedGateError, match=f"^{name}: "):
        script.hold(parts, torch.randn(9, 3, 4))
