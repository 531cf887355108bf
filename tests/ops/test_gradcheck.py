"""The derivative rules against finite differences: reverse, forward, and each over the other.

torch's own checks in float64, with torch's own tolerances. The sizes are the smallest that
still have a middle step, two rows and more than one unit. The fast mode compares random
projections of the Jacobians rather than every entry: a wrong rule escapes it with
probability zero. So the first derivatives of the plain cases are checked entry by entry,
and the many second derivatives by projection.
"""

import pytest
from torch.autograd import gradcheck, gradgradcheck

from elman.ops import linear_scan, scan
from elman.ops.activations import NONLINEARITIES
from tests.ops.cases import SERVING, Layout, gated_inputs, linear_inputs, packed, scan_inputs

LAYOUTS = {
    "dense": Layout(3, 2, 2),
    "packed": packed(3, 2, 0, H=2),  # unequal rows, and one of length zero
    "dense,L=1": Layout(1, 2, 2),
    "dense,L=0": Layout(0, 2, 2),
}
FACTORS = ["", "p", "q", "e", "pq", "pe", "qe", "pqe"]
every_backend = pytest.mark.parametrize("backend", SERVING)
both_directions = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def leaves(tensors):
    return tuple(t.detach().clone().requires_grad_() for t in tensors)


def check(f, inputs, *, entries):
    assert gradcheck(f, inputs, check_forward_ad=True, fast_mode=not entries)
    assert gradgradcheck(f, inputs, check_fwd_over_rev=True, fast_mode=True)


@every_backend
@both_directions
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("groups", [None, 2], ids=["plain", "groups"])
def test_scan(backend, reverse, layout, nonlinearity, groups):
    def f(a, weight_hh, h_0):
        time = {"batch_sizes": layout.batch_sizes, "reverse": reverse}
        return scan(a, weight_hh, h_0, nonlinearity, backend=backend, **time)

    check(f, leaves(scan_inputs(layout, groups, nonlinearity)), entries=groups is None)


# Every set of factors on the two layouts of unequal neighbours; the rest once each.
LINEAR_CASES = [
    *((layout, None, factors) for layout in ("dense", "packed") for factors in FACTORS),
    *(("dense", 2, factors) for factors in ("", "pqe")),
    *(("packed", 2, factors) for factors in ("pe", "q")),
    ("dense,L=1", None, "pqe"),
    ("dense,L=0", None, "pqe"),
]


@every_backend
@both_directions
@pytest.mark.parametrize(
    ("layout", "groups", "factors"),
    LINEAR_CASES,
    ids=[f"{layout}-groups={g}-{f or 'none'}" for layout, g, f in LINEAR_CASES],
)
def test_linear_scan(backend, reverse, layout, groups, factors):
    layout = LAYOUTS[layout]
    tensors = linear_inputs(layout, groups, factors)

    def f(*inputs):
        given = dict(zip(tensors, inputs, strict=True))
        time = {"batch_sizes": layout.batch_sizes, "reverse": reverse}
        return linear_scan(**given, backend=backend, **time)

    check(f, leaves(tensors.values()), entries=groups is None and len(factors) != 2)


def gated(layout, groups, names, reverse, backend, nonlinearity="tanh", bound=None):
    layout = LAYOUTS[layout]
    tensors = gated_inputs(layout, groups, names, nonlinearity)

    def f(*inputs):
        given = dict(zip(tensors, inputs, strict=True))
        time = {"batch_sizes": layout.batch_sizes, "reverse": reverse, "backend": backend}
        return scan(**given, nonlinearity=nonlinearity, bound=bound, **time)

    check(f, leaves(tensors.values()), entries=False)


@every_backend
@pytest.mark.parametrize("names", ["g", "q", "e", "gqe"])
@pytest.mark.parametrize("layout", ["dense", "packed"])
def test_scan_between_gates(backend, layout, names):
    gated(layout, None, names, False, backend)
    if names == "gqe":
        gated(layout, 2, names, True, backend)


@pytest.mark.parametrize("bound", [None, 0.45])
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_nonlinearity(nonlinearity, bound):
    gated("dense", None, "g", True, None, nonlinearity, bound)
