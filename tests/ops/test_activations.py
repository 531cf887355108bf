"""Every nonlinearity of the kernels beside torch's own, over the whole range of its argument."""

import math

import numpy as np
import pytest
import torch

from elman.ops import cpu, scan
from elman.ops.activations import NONLINEARITIES, activate, slope
from tests.tolerances import distance, worst

nan, inf = math.nan, math.inf
every = pytest.mark.parametrize("f", NONLINEARITIES)
kernels = pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))


def by_kernels(z, f, bound=None):
    """A scan of one step from nothing."""
    zero = torch.zeros(1, 1, dtype=z.dtype)
    a, h_0 = z.view(1, -1, 1), torch.zeros(z.numel(), 1, dtype=z.dtype)
    return scan(a, zero, h_0, f, bound=bound, backend="cpu").flatten()


def sweep(dtype):
    """Numbers of every exponent, and many where the functions bend."""
    least, most = (-120, 127) if dtype == torch.float32 else (-1000, 1023)
    exponents = torch.arange(least, most, dtype=torch.float64)
    grid = (torch.rand(9, dtype=torch.float64) + 1)[:, None] * torch.exp2(exponents)
    even = torch.linspace(-120, 120, 20001, dtype=torch.float64)
    z = torch.cat([grid.flatten(), even, even / 40]).to(dtype)
    return torch.cat((z, -z))


EXACT = {  # in long double, which torch has not
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "hardsigmoid": lambda z: np.clip(z + 3, 0, 6) / 6,
    "selu": lambda z: (
        np.longdouble("1.0507009873554804934193349852946")
        * np.where(z > 0, z, np.longdouble("1.6732632423543772848170429916717") * EXACT["elu"](z))
    ),
}


@kernels
@pytest.mark.parametrize("f", EXACT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_within_a_few_ulps(f, dtype):
    """Of the truth, or of the terms it is the difference of; twice torch's error at most."""
    z = sweep(dtype)
    with np.errstate(over="ignore", under="ignore"):
        truth = EXACT[f](z.numpy().astype(np.longdouble))
    info = torch.finfo(dtype)
    ulp = np.maximum(np.abs(truth) * info.eps, info.tiny)
    ours = np.abs(by_kernels(z, f).numpy() - truth) / ulp
    torchs = np.abs(activate(z, f).numpy() - truth) / ulp
    at = int(ours.argmax())
    assert ours[at] <= max(2 * torchs.max(), 4), f"{ours[at]:.3g} ulps at {z[at]}"


@kernels
@every
@pytest.mark.parametrize("bound", [None, 2.0])
def test_of_what_is_no_ordinary_number(f, bound):
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([nan, inf, -inf, 0.0, -0.0] * 9, dtype=dtype)
        got, want = by_kernels(z, f, bound), activate(z, f, bound)
        near, none = 4 * torch.finfo(dtype).eps, 2 * torch.finfo(dtype).tiny
        torch.testing.assert_close(got, want, rtol=near, atol=none, equal_nan=True)


@every
@pytest.mark.parametrize("bound", [None, 0.7])
def test_the_slope_is_torchs(f, bound):
    z = torch.linspace(-4, 4, 1601, dtype=torch.float64) + 1e-3  # past every corner
    leaf = z.clone().requires_grad_()
    y = activate(leaf, f, bound)
    (expected,) = torch.autograd.grad(y.sum(), leaf)
    found = slope(y.detach(), f, bound)
    found = torch.ones_like(z) if found is None else found
    assert distance(found, expected) <= worst(16, 2)


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("bound", [0.1, 2.0])
def test_of_two_bytes_a_bound_takes_no_slope_but_at_its_ends(f, bound, dtype):
    """Up to where y is told from its end: two roundings of it away."""
    z = torch.linspace(-bound, bound, 401, dtype=torch.float64).to(dtype)
    y = activate(z, f, bound)
    low, high = activate(torch.tensor([-bound, bound], dtype=dtype), f, bound)
    eps = torch.finfo(dtype).eps
    off = (y - low > 2 * eps * low.abs()) & (high - y > 2 * eps * high.abs())
    found, free = slope(y, f, bound), slope(y, f)
    free = torch.ones_like(y) if free is None else free
    assert off.sum() > 100 or f in ("hardtanh", "softplus")
    assert torch.equal(found[off], free[off])
    assert (found[(y == low) | (y == high)] == 0).all()
