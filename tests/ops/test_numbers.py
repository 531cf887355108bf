"""Numbers worked out by hand, and numbers at the edge: zero slopes, NaN, infinity, complex."""

import inspect
import math

import pytest
import torch

from elman.ops import linear_scan, reference, scan
from tests.ops.cases import EVERY
from tests.tolerances import distance, worst

nan, inf = math.nan, math.inf
every_backend = pytest.mark.parametrize("backend", EVERY)
both_directions = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def test_the_reference_is_short_enough_to_read():
    assert len(inspect.getsource(reference).splitlines()) < 90


@every_backend
def test_three_steps_by_hand(backend):
    # W = [1 2; 0 -1], so h Wᵀ = (h₁ + 2 h₂, -h₂); h_0 = (1, 1)
    a = torch.tensor([[1.0, 2.0], [-5.0, 1.0], [1.0, -1.0]])
    W, h_0 = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.ones(1, 2)
    # identity: (1+3, 2-1) = (4, 1); (-5+6, 1-1) = (1, 0); (1+1, -1-0) = (2, -1)
    # relu:     (4, 1); (1, 0); (2, 0)
    expected = {"identity": [[4, 1], [1, 0], [2, -1]], "relu": [[4, 1], [1, 0], [2, 0]]}
    for nonlinearity, h in expected.items():
        got = scan(a[:, None], W, h_0, nonlinearity, backend=backend)
        assert got[:, 0].tolist() == h
    # from the end: (1+3, -1-1) = (4, -2) -> relu (4, 0); (-5+4, 1-0) -> (0, 1); (1+2, 2-1) = (3, 1)
    got = scan(a[:, None], W, h_0, "relu", reverse=True, backend=backend)
    assert got[:, 0].tolist() == [[3, 1], [0, 1], [4, 0]]


@every_backend
def test_three_steps_of_tanh_by_hand(backend):
    # H = 1, W = 2, h_0 = 0; tanh 0.5 = 0.46211715726, and so on by a pocket calculator:
    # tanh(-1 + 2·0.46211715726) = tanh(-0.07576568548) = -0.07562104
    # tanh(0 + 2·-0.07562104) = tanh(-0.15124208) = -0.15009936
    a = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64)[:, None, None]
    h = scan(a, a.new_full((1, 1), 2.0), a.new_zeros(1, 1), backend=backend).flatten()
    by_hand = torch.tensor([0.46211716, -0.07562104, -0.15009936], dtype=torch.float64)
    assert distance(h, by_hand) <= 0.5e-8 * (1 + 2 + 4)  # eight places; each step doubles


@every_backend
def test_linear_scan_by_hand(backend):
    # H = 1, M = 3, s_0 = 1: s_t = x_t + e_t s + p_t · 3 · q_t s
    x, p, q, e = (
        torch.tensor(v)[:, None, None] for v in ([1.0, 2.0], [2.0, -1.0], [0.5, 1.0], [4.0, 1.0])
    )
    M, s_0 = torch.tensor([[3.0]]), torch.ones(1, 1)
    # 1 + 4 + 2·3·0.5 = 8;  2 + 8 - 1·3·1·8 = -14
    s = linear_scan(x, M, s_0, p=p, q=q, e=e, backend=backend)
    assert s.flatten().tolist() == [8.0, -14.0]
    # packed, the second row of length zero: it takes no part
    sizes = torch.tensor([1, 1])
    s_0 = torch.tensor([[1.0], [nan]])
    s = linear_scan(x[:, 0], M, s_0, p=p[:, 0], q=q[:, 0], batch_sizes=sizes, backend=backend)
    assert s.flatten().tolist() == [4.0, -10.0]  # 1 + 2·3·0.5;  2 - 3·4


def gradients(f, a, W, h_0, nonlinearity, reverse, **more):
    leaves = [t.detach().clone().requires_grad_() for t in (a, W, h_0)]
    h = f(*leaves, nonlinearity, reverse=reverse, **more)
    return h.detach(), *torch.autograd.grad(h.sum(), leaves)


@every_backend
@both_directions
def test_relu_at_exactly_zero_passes_no_gradient_as_in_torch(backend, reverse):
    a = torch.tensor([[0.0, 1.0], [-1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)[:, None]
    W, h_0 = torch.zeros(2, 2).double(), torch.ones(1, 2).double()
    ours = gradients(scan, a, W, h_0, "relu", reverse, backend=backend)
    torchs = gradients(reference.scan, a, W, h_0, "relu", reverse)
    assert all(torch.equal(x, y) for x, y in zip(ours, torchs, strict=True))
    assert ours[1].flatten().tolist() == [0, 1, 0, 0, 0, 1]


@every_backend
@both_directions
def test_saturated_tanh_has_finite_gradients_as_in_torch(backend, reverse):
    a = torch.tensor([[40.0, 0.5], [-50.0, 40.0], [0.25, -40.0]], dtype=torch.float64)[:, None]
    W, h_0 = torch.tensor([[0.5, -0.5], [0.25, 0.5]]).double(), torch.ones(1, 2).double()
    ours = gradients(scan, a, W, h_0, "tanh", reverse, backend=backend)
    torchs = gradients(reference.scan, a, W, h_0, "tanh", reverse)
    assert ours[0][0, 0, 0] == 1  # saturated: 1 - h² is exactly 0
    for x, y in zip(ours, torchs, strict=True):
        assert x.isfinite().all()
        assert distance(x, y) <= worst(3 * (2 + 4) * 3, 3)  # L (H + 4), L times over


@every_backend
@both_directions
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("odd_one", [nan, inf, -inf], ids=str)
def test_nan_and_infinity_pass_as_in_torch(backend, reverse, nonlinearity, odd_one):
    """Every value and gradient is what torch's would be, and the other row stays finite."""
    a = torch.full((3, 2, 2), 0.5, dtype=torch.float64)
    a[1, 0, 0] = odd_one
    W, h_0 = torch.tensor([[0.5, -0.5], [0.25, 0.5]]).double(), torch.ones(2, 2).double()
    ours = gradients(scan, a, W, h_0, nonlinearity, reverse, backend=backend)
    torchs = gradients(reference.scan, a, W, h_0, nonlinearity, reverse)
    for name, x, y in zip(("h", "a", "weight_hh", "h_0"), ours, torchs, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=worst(54, 4), equal_nan=True, msg=name)
    assert ours[0][:, 1].isfinite().all()


@both_directions
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_numbers_take_the_plain_loop(reverse, dtype):
    a, W = torch.randn(4, 2, 3, dtype=dtype), torch.randn(3, 3, dtype=dtype) / 3
    h_0, bar = torch.randn(2, 3, dtype=dtype), torch.randn(4, 2, 3, dtype=dtype)
    for ours, loop, tensors in (
        (scan, reference.scan, (a, W, h_0)),
        (linear_scan, reference.linear_scan, (a, W, h_0)),
    ):
        leaves = [t.clone().requires_grad_() for t in tensors]
        got, expected = ours(*leaves, reverse=reverse), loop(*leaves, reverse=reverse)
        assert torch.equal(got, expected)
        for x, y in zip(
            torch.autograd.grad(got, leaves, bar),
            torch.autograd.grad(expected, leaves, bar),
            strict=True,
        ):
            assert torch.equal(x, y)
