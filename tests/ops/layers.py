"""A layer in one piece against the same layer composed of `scan` and torch's own products.

Roundings, for tolerances.py. A step sums K + H products and four more terms and f rounds once:
K + H + 5. Otherwise as in test_agreement.py: L² N (K + H + 5), and no term of a gradient's sums is
larger than L·max|out_bar|·max|h|, h_n's gradient adding one to the output's. The rows of the
weights add up to at most one in absolute value, so that nothing grows.
"""

import pytest
import torch

from elman.ops import layer
from elman.ops.composed import Kind, composed
from tests.ops.cases import LAYOUTS, uniform
from tests.tolerances import distance, largest, worst

K = 3
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
one_or_two = pytest.mark.parametrize("D", [1, 2], ids=["forward", "both"])


def make(layout, D, bias=True, nonlinearity="tanh", K=K):
    """x, h_0 and the weights, in float64; for relu no sum comes near zero, as in cases.py."""
    H, strided = layout.H, layout.strided
    x = uniform(*layout.sequence_shape(None)[:-1], K, strided=strided)
    h_0 = torch.stack([uniform(layout.N, H, strided=strided) for _ in range(D)])
    weights = []
    for _ in range(D):
        W_ih, W_hh = uniform(H, K, strided=strided) / K, uniform(H, H, strided=strided) / H
        biases = [uniform(H) / 2, uniform(H) / 2]
        if nonlinearity == "relu":  # every term of a unit's sum has its sign
            x, h_0 = x.abs() + 0.1, h_0.abs()
            signs = torch.where(torch.arange(H) % 3 == 1, -1.0, 1.0).double()
            W_ih, W_hh = W_ih.abs() * signs[:, None], W_hh.abs() * signs[:, None]
            biases = [b.abs() * signs for b in biases]
        weights.append([W_ih, W_hh, *(biases if bias else [])])
    return x, h_0, weights


def flat(x, h_0, weights):
    return [x, h_0, *(w for direction in weights for w in direction)]


def nested(tensors, D):
    each = len(tensors) // D
    return [tensors[k : k + each] for k in range(0, len(tensors), each)]


def results(f, tensors, D, bars, nonlinearity, batch_sizes, wanted=None):
    """The output, h_n and the gradients of what is wanted, of everything by default."""
    leaves = [
        t.detach().requires_grad_(wanted is None or wants)
        for t, wants in zip(tensors, wanted or tensors, strict=True)
    ]
    output, h_n = f(leaves[0], leaves[1], nested(leaves[2:], D), nonlinearity, batch_sizes)
    found = [output.detach(), h_n.detach()]
    asked = [leaf for leaf in leaves if leaf.requires_grad]
    given = [(r, bar) for r, bar in zip((output, h_n), bars, strict=True) if bar is not None]
    if not asked or not any(r.requires_grad for r, _ in given):
        return found
    return found + list(
        torch.autograd.grad(
            [r for r, _ in given], asked, [bar for _, bar in given], materialize_grads=True
        )
    )


def bars_for(layout, D):
    wide = (*layout.sequence_shape(None)[:-1], D * layout.H)
    return uniform(*wide, strided=layout.strided), uniform(D, layout.N, layout.H)


def same(ours, truth, layout, K=K, case=""):
    steps = max(1, layout.L) ** 2 * max(1, layout.N) * (K + layout.H + 5)
    allowed = worst(steps, 2 * max(1, layout.L) * max(1.0, largest(truth[0])))
    assert len(ours) == len(truth), case
    for k, (got, want) in enumerate(zip(ours, truth, strict=True)):
        assert got.shape == want.shape, f"{case} {k}"
        assert distance(got, want) <= allowed, f"{case} {k}"


def by_scans(x, h_0, weights, nonlinearity, batch_sizes):
    """The layer composed of `scan` and torch's products."""
    kind = Kind(nonlinearity, len(weights[0]) == 4)
    return composed(kind, x, h_0, weights, (), batch_sizes)


def agree(tensors, layout, D, bars, nonlinearity="tanh", case="", wanted=None):
    given = tensors, D, bars, nonlinearity, layout.batch_sizes, wanted
    same(results(layer, *given), results(by_scans, *given), layout, case=case)


LYING = {
    "batch first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "last but one first": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
    "every second": lambda x: torch.stack((x, x), -1)[..., 0],
    "part of a wider one": lambda x: torch.cat((x, x, x), -1)[..., x.shape[-1] : 2 * x.shape[-1]],
    "shifted": lambda x: torch.cat((x.new_zeros(1), x.flatten()))[1:].view(x.shape),
    "one row for all": lambda x: x[:1].expand(x.shape),
}


def everything(rnn, x, h_0=None, bars=None):
    """output, h_n, and the gradients of the input, h_0 and the weights."""
    x = x.detach().requires_grad_()
    h_0 = None if h_0 is None else h_0.detach().requires_grad_()
    output, h_n = rnn(x, h_0)
    bars = bars or (torch.ones_like(output), torch.ones_like(h_n))
    leaves = [x, *([] if h_0 is None else [h_0]), *rnn.parameters()]
    return [output.detach(), h_n.detach(), *torch.autograd.grad((output, h_n), leaves, bars)]
