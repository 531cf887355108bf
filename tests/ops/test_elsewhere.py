"""The operators where there are no kernels: torch's own in their place, with the same numbers."""

import subprocess
import sys

import pytest
import torch

from elman.ops import cpu, elsewhere
from elman.ops.activations import NUMBERS
from tests.ops.layers import bars_for, every_layout, flat, make, one_or_two, same


@pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))
@pytest.mark.parametrize("given", ["both", "output", "h_n"])
@every_layout
@pytest.mark.parametrize("f", ["tanh", "relu", "identity"])
@one_or_two
def test_a_layer_composed_is_the_kernels_layer(layout, D, f, given):
    x, h_0, *weights = flat(*make(layout, D))
    sizes, number = layout.batch_sizes, NUMBERS[f]
    output_bar, h_n_bar = bars_for(layout, D)
    bars = output_bar if given != "h_n" else None, h_n_bar if given != "output" else None
    results = []
    for layer, backward in (
        (elsewhere._layer, elsewhere._layer_backward),
        (torch.ops.elman.layer.default, torch.ops.elman.layer_backward.default),
    ):
        output, h_n = layer(x, h_0, weights, True, number, sizes)
        gradients = backward(*bars, x, h_0, output, weights, True, number, sizes, 7)
        results.append([output, h_n, *gradients])
    same(*results, layout)


WITHOUT = """
from pathlib import Path
import torch
from elman.ops import cpu
cpu._PLACE = Path("nowhere.so")
import elman
rnn, x = elman.RNN(3, 4, 2, bidirectional=True), torch.randn(5, 2, 3)
want, _ = rnn(x)
run = torch.compile(rnn, fullgraph=True, backend="aot_eager")
program = torch.export.export(rnn, (x,)).module()
for got, _ in (run(x), program(x)):
    torch.testing.assert_close(got, want)
run(x)[0].sum().backward()
found = rnn.weight_hh_l0.grad.clone()
rnn.zero_grad()
rnn(x)[0].sum().backward()
torch.testing.assert_close(found, rnn.weight_hh_l0.grad)
print("composed:", cpu.problem())
"""


def test_compiled_and_exported_layers_run_without_kernels():
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("composed: not built yet")
