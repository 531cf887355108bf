"""vmap over either op is a loop over the copies: values, gradients, nesting."""

import pytest
import torch
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, stack_module_state, vmap

import elman
from elman.ops import linear_scan, scan

PACKED = torch.tensor([3, 2, 2, 1])
B, H = 5, 2


def sizes(packed, groups):
    lead = (len(PACKED) * 2,) if packed else (4, 3)
    return lead, ((2, H) if groups else (H,))


def stacked(fn, in_dims, args):
    """What vmap should give: fn on each copy, one after another."""
    copies = [
        [a if d is None else a.select(d, b) for a, d in zip(args, in_dims, strict=True)]
        for b in range(B)
    ]
    return torch.stack([fn(*copy) for copy in copies])


def tensor(shape, dim):
    """float64 numbers of this shape, with the copies at `dim` if it is not None."""
    shape = list(shape)
    if dim is not None:
        shape.insert(dim if dim >= 0 else len(shape) + 1 + dim, B)
    return torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("groups", [False, True], ids=["plain", "groups"])
@pytest.mark.parametrize("packed", [False, True], ids=["dense", "packed"])
@pytest.mark.parametrize(
    "in_dims", [(0, None, None), (None, 0, None), (1, -1, 0), (None, None, 1), (-1, None, 0)]
)
def test_scan(packed, groups, reverse, in_dims):
    lead, row = sizes(packed, groups)
    batch_sizes = PACKED if packed else None
    shapes = ((*lead, *row), (*row[:-1], H, H), (3, *row))
    args = [tensor(shape, dim) for shape, dim in zip(shapes, in_dims, strict=True)]

    def fn(a, W, h_0):
        return scan(a, W, h_0, batch_sizes=batch_sizes, reverse=reverse)

    agree(vmap(fn, in_dims)(*args), stacked(fn, in_dims, args))

    def loss(a, W, h_0):
        return fn(a, W, h_0).square().sum()

    for argnum in range(3):
        one = grad(loss, argnums=argnum)
        agree(vmap(one, in_dims)(*args), stacked(one, in_dims, args))


def agree(got, expected):
    # the same products in another order: a few roundings of sums of H terms over 4 steps
    assert got.shape == expected.shape
    assert (got - expected).abs().max() <= 1e-13 * (1 + expected.abs().max())


@pytest.mark.parametrize("packed", [False, True], ids=["dense", "packed"])
@pytest.mark.parametrize("factors", ["", "p", "pq", "e", "pqe"])
@pytest.mark.parametrize("weight_dim", [None, 0])
def test_linear_scan(packed, factors, weight_dim):
    lead, row = sizes(packed, groups=False)
    in_dims = (0, weight_dim, None, *(k % 2 for k in range(len(factors))))
    shapes = ((*lead, *row), (H, H), (3, *row), *((*lead, *row),) * len(factors))
    args = [tensor(shape, dim) for shape, dim in zip(shapes, in_dims, strict=True)]

    def fn(x, M, s_0, *given):
        named = dict(zip(factors, given, strict=True))
        return linear_scan(x, M, s_0, **named, batch_sizes=PACKED if packed else None)

    agree(vmap(fn, in_dims)(*args), stacked(fn, in_dims, args))
    gradients = grad(lambda *xs: fn(*xs).square().sum(), argnums=len(args) - 1)
    agree(vmap(gradients, in_dims)(*args), stacked(gradients, in_dims, args))


@pytest.mark.parametrize("packed", [False, True], ids=["dense", "packed"])
@pytest.mark.parametrize("gates", ["g", "q", "gqe"])
@pytest.mark.parametrize("weight_dim", [None, 0])
@pytest.mark.parametrize("groups", [False, True], ids=["plain", "groups"])
def test_scan_between_gates(packed, gates, weight_dim, groups):
    lead, row = sizes(packed, groups)
    in_dims = (0, weight_dim, None, *(None if k == 1 else k for k in range(len(gates))))
    shapes = ((*lead, *row), (*row[:-1], H, H), (3, *row), *((*lead, *row),) * len(gates))
    args = [tensor(shape, dim) / 2 for shape, dim in zip(shapes, in_dims, strict=True)]

    def fn(a, W, h_0, *given):
        named = dict(zip(gates, given, strict=True))
        time = {"batch_sizes": PACKED if packed else None, "reverse": True}
        return scan(a, W, h_0, "sigmoid", bound=3.0, **named, **time)

    agree(vmap(fn, in_dims)(*args), stacked(fn, in_dims, args))
    for argnum in (1, len(args) - 1):
        one = grad(lambda *xs: fn(*xs).square().sum(), argnums=argnum)
        agree(vmap(one, in_dims)(*args), stacked(one, in_dims, args))


def test_nested():
    a, W, h_0 = (torch.randn(s, dtype=torch.float64) for s in ((2, 3, 4, 1, H), (3, H, H), (1, H)))
    got = vmap(vmap(scan, (0, 0, None)), (0, None, None))(a, W, h_0)
    expected = torch.stack(
        [torch.stack([scan(a[i, j], W[j], h_0) for j in range(3)]) for i in (0, 1)]
    )
    agree(got, expected)


def test_no_rows():
    got = vmap(lambda a: scan(a, torch.eye(H), torch.zeros(0, H)))(torch.zeros(B, 4, 0, H))
    assert got.shape == (B, 4, 0, H)


def test_jacobians_agree_in_both_modes_and_with_torch():
    ours = elman.RNN(2, 3, num_layers=2, bidirectional=True, dtype=torch.float64)
    torchs = torch.nn.RNN(2, 3, num_layers=2, bidirectional=True, dtype=torch.float64)
    torchs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 1, 2, dtype=torch.float64)
    expected = jacrev(lambda x: torchs(x)[0])(x)
    agree(jacrev(lambda x: ours(x)[0])(x), expected)
    agree(jacfwd(lambda x: ours(x)[0])(x), expected)
    agree(
        hessian(lambda x: ours(x)[0].square().sum())(x),
        hessian(lambda x: torchs(x)[0].square().sum())(x),
    )


def test_per_sample_gradients():
    rnn = elman.RNN(2, 3, batch_first=True, bidirectional=True, dtype=torch.float64)
    parameters = dict(rnn.named_parameters())
    x = torch.randn(B, 4, 2, dtype=torch.float64)

    def loss(parameters, row):
        return functional_call(rnn, parameters, (row[None],))[0].square().sum()

    got = vmap(grad(loss), (None, 0))(parameters, x)
    for b in range(B):
        for name, gradient in grad(loss)(parameters, x[b]).items():
            agree(got[name][b], gradient)


def test_an_ensemble_of_layers():
    rnns = [elman.RNN(2, 3, num_layers=2, dtype=torch.float64) for _ in range(B)]
    stacked_parameters, buffers = stack_module_state(rnns)
    x = torch.randn(4, 6, 2, dtype=torch.float64)

    def call(parameters, buffers):
        return functional_call(rnns[0], (parameters, buffers), (x,))[0]

    agree(vmap(call)(stacked_parameters, buffers), torch.stack([rnn(x)[0] for rnn in rnns]))
