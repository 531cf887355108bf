"""Forward mode over forward mode, and reverse over it: second derivatives along a line.

gradgradcheck asks for neither. The truth is the plain loop under torch's own autograd, twice.
"""

from itertools import product

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import jvp

from elman.ops import linear_scan, reference, scan
from tests.ops.cases import (
    LAYOUTS,
    SERVING,
    gated_inputs,
    linear_inputs,
    scan_inputs,
    uniform,
)
from tests.tolerances import distance, largest

FACTORS = ("", "p", "e", "pq", "pqe")
every_backend = pytest.mark.parametrize("backend", SERVING)
both_directions = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
few_layouts = pytest.mark.parametrize(
    "layout", ["dense", "dense,L=1", "packed", "packed,zero-length"]
)


def along(f, inputs, directions, weights):
    """One number as a function of one number: how far to go from the inputs."""

    def of(s):
        return (f(*(t + s * d for t, d in zip(inputs, directions, strict=True))) * weights).sum()

    return of


def forward_twice(of, s):
    return jvp(lambda s: jvp(of, (s,), (torch.ones_like(s),))[1], (s,), (torch.ones_like(s),))[1]


def reverse_over_forward(of, s):
    s = s.clone().requires_grad_()
    with forward_ad.dual_level():
        y = of(forward_ad.make_dual(s, torch.ones_like(s)))
        return torch.autograd.grad(forward_ad.unpack_dual(y).tangent, s)[0]


def truth(of, s):
    s = s.clone().requires_grad_()
    (slope,) = torch.autograd.grad(of(s), s, create_graph=True)
    return torch.autograd.grad(slope, s)[0]


def agree(f, plain, inputs):
    directions = [torch.randn_like(t) for t in inputs]
    weights = uniform(*inputs[0].shape)
    s = torch.zeros((), dtype=torch.float64)
    expected = truth(along(plain, inputs, directions, weights), s)
    for way in (forward_twice, reverse_over_forward):
        got = way(along(f, inputs, directions, weights), s)
        # some hundred terms and as many roundings of each
        assert distance(got, expected) <= 1e-12 * max(1, largest(expected)), way.__name__


@every_backend
@both_directions
@few_layouts
@pytest.mark.parametrize(
    ("nonlinearity", "groups"), list(product(["tanh", "relu", "identity"], [None, 2]))
)
def test_scan(backend, reverse, layout, nonlinearity, groups):
    layout = LAYOUTS[layout]
    time = {"batch_sizes": layout.batch_sizes, "reverse": reverse}

    def f(*inputs):
        return scan(*inputs, nonlinearity, backend=backend, **time)

    def plain(*inputs):
        return reference.scan(*inputs, nonlinearity, **time)

    agree(f, plain, scan_inputs(layout, groups, nonlinearity))


@every_backend
@both_directions
@few_layouts
@pytest.mark.parametrize("factors", FACTORS)
def test_linear_scan(backend, reverse, layout, factors):
    layout = LAYOUTS[layout]
    tensors = linear_inputs(layout, None, factors)
    time = {"batch_sizes": layout.batch_sizes, "reverse": reverse}

    def f(*inputs):
        given = dict(zip(tensors, inputs, strict=True))
        return linear_scan(**given, backend=backend, **time)

    def plain(*inputs):
        return reference.linear_scan(**dict(zip(tensors, inputs, strict=True)), **time)

    agree(f, plain, list(tensors.values()))


@every_backend
@pytest.mark.parametrize("layout", ["dense", "packed,zero-length"])
@pytest.mark.parametrize("names", ["g", "q", "gqe"])
@pytest.mark.parametrize("nonlinearity", ["tanh", "softplus"])
def test_scan_between_gates(backend, layout, names, nonlinearity):
    layout = LAYOUTS[layout]
    tensors = gated_inputs(layout, None, names)
    time = {"batch_sizes": layout.batch_sizes, "reverse": True}

    def f(*inputs):
        given = dict(zip(tensors, inputs, strict=True))
        return scan(**given, nonlinearity=nonlinearity, backend=backend, **time)

    def plain(*inputs):
        given = dict(zip(tensors, inputs, strict=True))
        if "e" not in given and "g" in given:
            given["e"] = 1 - given["g"]
        return reference.gated_scan(**given, nonlinearity=nonlinearity, **time)[0]

    agree(f, plain, list(tensors.values()))
