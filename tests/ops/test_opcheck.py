"""torch's own examination of the operators: schema, shapes, reverse rule, under a compiler."""

import pytest
import torch

from tests.ops.cases import LAYOUTS
from tests.ops.layers import bars_for, flat, make, one_or_two

OPERATORS = ["scan", "linear_scan", "layer", "layer_backward", "gated_scan", "gated_layer"]


def arguments_of(name, layout, D, dtype=torch.float32):
    """Arguments of an operator, every tensor of numbers wanting its gradient."""
    tensors = [t.to(dtype) for t in flat(*make(layout, D))]
    x, h_0, weights = tensors[0], tensors[1], tensors[2:]
    sizes = layout.batch_sizes
    if name == "layer_backward":  # not differentiated itself: see test_layer_graph.py
        output, _ = torch.ops.elman.layer(x, h_0, weights, True, 0, sizes)
        bars = [b.to(dtype) for b in bars_for(layout, D)]
        return (*bars, x, h_0, output, weights, True, 0, sizes, 7)
    a = torch.randn(*x.shape[:-1], layout.H, dtype=dtype)
    W, h, p = weights[1], h_0[0], torch.randn_like(a)
    for t in (a, h, p, *tensors):
        t.requires_grad_(t.is_leaf)
    h = h.detach().requires_grad_()
    no, leak = torch.empty(0, dtype=dtype), torch.rand(1, 1, 1, dtype=dtype, requires_grad=True)
    gates = [leak, no, no, leak] * D
    return {
        "scan": (a, W, h, 0, sizes, False),
        "linear_scan": (a, W, h, p, None, p, sizes, True),
        "layer": (x, h_0, weights, True, 0, sizes),
        "gated_scan": (a, W, h, p, None, None, 3, 0.5, sizes, True),
        "gated_layer": (x, h_0, weights, True, 3, 0.5, gates, True, sizes),
    }[name]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "layout", [LAYOUTS[n] for n in ("dense", "dense,strided", "packed", "dense,N=0")], ids=str
)
@one_or_two
def test_the_operators_keep_torchs_rules(name, layout, D):
    operator = getattr(torch.ops.elman, name).default
    torch.library.opcheck(operator, arguments_of(name, layout, D))
