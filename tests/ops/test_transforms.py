"""What torch writes down or runs many of at once: the same numbers by every backend."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import jvp, linearize
from torch.fx.experimental.proxy_tensor import make_fx

from elman.ops import linear_scan, scan
from tests.ops.cases import LAYOUTS, SERVING, linear_inputs, scan_inputs, uniform
from tests.tolerances import distance, largest

every_backend = pytest.mark.parametrize("backend", SERVING)
both_directions = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
both_layouts = pytest.mark.parametrize("layout", ["dense,odd", "packed,zero-length"])
both_ops = pytest.mark.parametrize("op", ["scan", "linear_scan"])


def function(op, backend, layout, reverse):
    layout = LAYOUTS[layout]
    given = {"backend": backend, "batch_sizes": layout.batch_sizes, "reverse": reverse}
    if op == "scan":
        return (lambda *t: scan(*t, **given)), scan_inputs(layout, None, "tanh")
    tensors = linear_inputs(layout, None, "pqe")
    return (
        lambda *t: linear_scan(**dict(zip(tensors, t, strict=True)), **given),
        tuple(tensors.values()),
    )


def agree(got, expected):
    """Equal formulas, summed in another order: some hundred roundings."""
    assert distance(got, expected) <= 1e-13 * max(1, largest(expected))


@every_backend
@both_ops
@both_layouts
@both_directions
def test_many_gradients_at_once(op, backend, layout, reverse):
    f, inputs = function(op, backend, layout, reverse)
    inputs = [t.requires_grad_() for t in inputs]
    out = f(*inputs)
    bars = uniform(3, *out.shape)
    got = torch.autograd.grad(out, inputs, bars, is_grads_batched=True, retain_graph=True)
    for k, bar in enumerate(bars):
        expected = torch.autograd.grad(out, inputs, bar, retain_graph=True)
        for many, one in zip(got, expected, strict=True):
            agree(many[k], one)


@every_backend
@both_ops
@both_layouts
def test_many_tangents_at_once(op, backend, layout):
    f, inputs = function(op, backend, layout, False)
    for k, given in enumerate(inputs):
        tangents = uniform(3, *given.shape)

        def push(tangent, k=k, given=given):
            dual = forward_ad.make_dual(given, tangent)
            return forward_ad.unpack_dual(f(*inputs[:k], dual, *inputs[k + 1 :])).tangent

        with forward_ad.dual_level():
            expected = [push(tangent) for tangent in tangents]
            got = torch._vmap_internals._vmap(push)(tangents)
        for many, one in zip(got, expected, strict=True):
            agree(many, one)


# torch's own word on what its tracer wrote down
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")
@every_backend
@both_ops
@both_directions
def test_written_down(op, backend, reverse):
    f, inputs = function(op, backend, "dense,odd", reverse)
    results, push = linearize(f, *inputs)
    for _ in range(2):
        tangents = tuple(torch.randn_like(t) for t in inputs)
        expected, slope = jvp(f, inputs, tangents)
        agree(results, expected)
        agree(push(*tangents), slope)
    others = tuple(t.detach() / 2 for t in inputs)
    agree(make_fx(f)(*inputs)(*others), f(*others))
