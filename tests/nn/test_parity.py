"""elman.RNN gives torch.nn.RNN's numbers: outputs and every gradient, for all arguments.

Roundings, for tolerances.py: per layer and step two products, of at most 8 + 4 terms, two
biases and f make 15, over at most three layers of L = 5 steps 225; each L times over in a
gradient, and N = 3 rows summed: 3,375. At float64's eps and values below one that is
7.5e-13 at worst: the bound is 1e-12. In low precision torch keeps the sum of a product in
float32, so that the chain is six roundings a step and layer: two products, three sums and f.
"""

import pytest
import torch
from torch import nn

import elman
from tests.nn.parity import (
    ARGUMENTS,
    FORMS,
    L,
    both,
    build,
    combinations,
    keep_signs,
    make_inputs,
    run,
)
from tests.tolerances import as_good, distance, largest

BOUND = 1e-12
by_shape = pytest.mark.parametrize("form", FORMS)
by_layers = pytest.mark.parametrize("num_layers", ARGUMENTS["num_layers"])
by_nonlinearity = pytest.mark.parametrize("nonlinearity", ARGUMENTS["nonlinearity"])
by_directions = pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "two-way"])


def assert_same(arguments, form):
    for with_hx in (False, True):
        case = f"{arguments}, hx={with_hx}: "
        ours, theirs = both(arguments, form, with_hx)
        assert list(ours) == list(theirs), case
        for name, expected in theirs.items():
            assert ours[name].dtype == expected.dtype, case + name
            scale = max(1.0, largest(expected))
            assert distance(ours[name], expected) <= BOUND * scale, case + name


@by_layers
@by_nonlinearity
@by_directions
@by_shape
def test_float64(num_layers, nonlinearity, bidirectional, form):
    fixed = {"num_layers": num_layers, "nonlinearity": nonlinearity}
    for arguments in combinations(**fixed, bidirectional=bidirectional):
        assert_same(arguments, form)


@by_shape
def test_float64_of_three_layers(form):
    for arguments in combinations(num_layers=3, nonlinearity="tanh", bias=True):
        assert_same(arguments, form)


def assert_as_good(arguments, form, with_hx, dtype):
    """One case in low precision, beside torch, against torch in float64 from the same numbers."""
    x, hx = make_inputs(arguments, form, with_hx, dtype)
    rival, ours, exact = (
        build(nn.RNN, arguments, dtype),
        build(elman.RNN, arguments, dtype),
        build(nn.RNN, arguments, torch.float64),
    )
    if arguments["nonlinearity"] == "relu":
        keep_signs(rival, *(t if t is None else t.data for t in (x, hx)))
    ours.load_state_dict(rival.state_dict())
    exact.load_state_dict(rival.state_dict())
    inputs64 = [t if t is None else t.detach().double().requires_grad_() for t in (x, hx)]
    truth = run(exact, *inputs64, form)
    theirs, mine = run(rival, x, hx, form), run(ours, x, hx, form)
    assert list(mine) == list(theirs)
    for name, expected in truth.items():
        assert mine[name].dtype == theirs[name].dtype
        if not expected.is_floating_point():
            assert torch.equal(mine[name], expected)
            continue
        scale = max(1.0, largest(expected))
        roundings = 6 * L * arguments["num_layers"]
        good, says = as_good(mine[name], theirs[name], expected, roundings, scale)
        assert good, f"{arguments}, hx={with_hx}: {name}: {says}"


@by_layers
@by_nonlinearity
@by_directions
@by_shape
def test_float32(num_layers, nonlinearity, bidirectional, form):
    fixed = {"num_layers": num_layers, "nonlinearity": nonlinearity}
    for arguments in combinations(**fixed, bidirectional=bidirectional):
        for with_hx in (False, True):
            assert_as_good(arguments, form, with_hx, torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@by_nonlinearity
@by_shape
def test_half_precision(dtype, nonlinearity, form):
    fixed = {"nonlinearity": nonlinearity, "dropout": 0.0, "batch_first": False}
    for arguments in combinations(**fixed):
        assert_as_good(arguments, form, True, dtype)


def test_dropout_draws_torchs_masks_and_none_when_evaluating():
    arguments = {"num_layers": 2, "dropout": 0.5}
    x = torch.randn(L, 3, 2, dtype=torch.float64)
    ours, theirs = (build(kind, arguments, torch.float64) for kind in (elman.RNN, nn.RNN))
    outputs = []
    for seed in (0, 1):
        for rnn in (ours, theirs):
            torch.manual_seed(seed)
            outputs.append(rnn(x)[0])
    assert distance(outputs[0], outputs[1]) <= BOUND
    assert distance(outputs[2], outputs[3]) <= BOUND
    assert distance(outputs[0], outputs[2]) > 0.01  # another seed, another mask
    ours.eval()
    theirs.eval()
    assert torch.equal(ours(x)[0], ours(x)[0])
    assert distance(ours(x)[0], theirs(x)[0]) <= BOUND


@pytest.mark.parametrize("form", ["unbatched", "batched", "N=0"])
def test_outputs_lie_in_memory_as_torchs_do(form):
    for arguments in combinations(nonlinearity="tanh", bias=True, dropout=0.0):
        x, hx = make_inputs(arguments, form, True, torch.float32)
        ours, theirs = (build(k, arguments, torch.float32)(x, hx) for k in (elman.RNN, nn.RNN))
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.stride() == other.stride(), arguments
            assert mine.is_contiguous() == other.is_contiguous(), arguments
