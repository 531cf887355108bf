"""elman.RNNCell beside torch.nn.RNNCell: numbers, gradients, beginnings, and the way it prints."""

import copy
import pickle
from itertools import product

import pytest
import torch
from torch import nn

import elman
from tests.tolerances import LOW_PRECISION, as_good, distance, largest

ARGUMENTS = list(product((True, False), ("tanh", "relu")))
SHAPES = {"batched": (3,), "one row": (1,), "no rows": (0,), "unbatched": ()}
# two products of 2 + 4 terms, two biases and f are 10 roundings, and 3 rows are summed
BOUND = 3 * 10 * torch.finfo(torch.float64).eps


def pair(bias, nonlinearity, dtype=torch.float64):
    cells = []
    for kind in (elman.RNNCell, nn.RNNCell):
        torch.manual_seed(0)
        cells.append(kind(2, 4, bias=bias, nonlinearity=nonlinearity, dtype=torch.float64))
    return [cell.to(dtype) for cell in cells]


def inputs(shape, with_hx, dtype=torch.float64):
    torch.manual_seed(1)
    x = torch.randn(*shape, 2, dtype=torch.float64).to(dtype).requires_grad_()
    hx = torch.randn(*shape, 4, dtype=torch.float64).to(dtype).requires_grad_()
    return (x, hx) if with_hx else (x,)


def run(cell, given):
    h = cell(*given)
    bar = torch.cos(torch.arange(h.numel())).view(h.shape).to(h.dtype)
    return [h.detach(), *torch.autograd.grad(h, [*given, *cell.parameters()], bar)]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("with_hx", [False, True], ids=["no hx", "hx"])
def test_float64(shape, with_hx):
    for arguments in ARGUMENTS:
        ours, theirs = pair(*arguments)
        given = inputs(shape, with_hx)
        for mine, expected in zip(run(ours, given), run(theirs, given), strict=True):
            assert mine.shape == expected.shape
            assert distance(mine, expected) <= BOUND * max(1, largest(expected)), arguments


@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_low_precision(shape, dtype):
    for bias in (True, False):  # tanh alone: where relu is zero a rounding decides
        ours, theirs = pair(bias, "tanh", dtype)
        given = inputs(shape, True, dtype)
        exact = copy.deepcopy(theirs).double()
        truth = run(exact, [t.detach().double().requires_grad_() for t in given])
        for mine, rival, expected in zip(run(ours, given), run(theirs, given), truth, strict=True):
            scale = max(1, largest(expected))
            good, says = as_good(mine, rival, expected, roundings=6, scale=scale)
            assert good, says


def test_the_same_seed_gives_the_same_parameters():
    for arguments in ARGUMENTS:
        ours, theirs = pair(*arguments)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for name, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], value), (arguments, name)


def test_state_dicts_go_both_ways():
    for bias, nonlinearity in ARGUMENTS:
        for kinds in ((elman.RNNCell, nn.RNNCell), (nn.RNNCell, elman.RNNCell)):
            source, target = (kind(2, 4, bias, nonlinearity) for kind in kinds)
            target.load_state_dict(source.state_dict(), strict=True)
            x = torch.randn(3, 2)
            # one step of ten roundings of numbers below one
            allowed = 10 * torch.finfo(torch.float32).eps * max(1, largest(source(x)))
            assert distance(target(x), source(x)) <= allowed


def test_prints_as_torchs():
    for arguments in ARGUMENTS:
        ours, theirs = pair(*arguments)
        assert repr(ours) == repr(theirs)


def test_without_bias_the_names_are_there_and_empty():
    for cell in pair(False, "tanh"):
        assert cell.bias_ih is None
        assert cell.bias_hh is None


@pytest.mark.parametrize("through", [copy.deepcopy, lambda cell: pickle.loads(pickle.dumps(cell))])
def test_copies(through):
    cell, _ = pair(True, "relu")
    given = inputs((3,), True)
    expected = run(cell, given)
    twin = through(cell)
    assert type(twin) is elman.RNNCell
    assert all(torch.equal(x, y) for x, y in zip(run(twin, given), expected, strict=True))


def test_identity_by_hand():
    cell = elman.RNNCell(1, 1, nonlinearity="identity")
    with torch.no_grad():
        for parameter, value in zip(cell.parameters(), (2.0, 3.0, 0.5, 0.25), strict=True):
            parameter.fill_(value)
    h = cell(torch.tensor([4.0]), torch.tensor([5.0]))
    assert h.tolist() == [23.75]  # 2·4 + 0.5 + 3·5 + 0.25


def test_a_cell_stepped_is_a_layer():
    layer = elman.RNN(2, 4, dtype=torch.float64)
    cell = elman.RNNCell(2, 4, dtype=torch.float64)
    cell.load_state_dict({n.removesuffix("_l0"): p for n, p in layer.state_dict().items()})
    x, h = torch.randn(5, 3, 2, dtype=torch.float64), None
    output, h_n = layer(x)
    for t in range(5):
        h = cell(x[t], h)
        assert distance(h, output[t]) <= 5 * BOUND  # each step adds its own
    assert distance(h, h_n[0]) <= 5 * BOUND
