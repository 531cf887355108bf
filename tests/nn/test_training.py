"""Training as people write it: optimisers, clipping, frozen parts, autocast; beside torch."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import utils
from torch.nn.utils import stateless
from torch.nn.utils.rnn import PackedSequence

import elman
from tests.nn.parity import FORMS, build, combinations, make_inputs, run
from tests.tolerances import as_good, distance, largest

KINDS = (elman.RNN, nn.RNN)
DEEP = {"num_layers": 2, "bidirectional": True}


def loss_of(results):
    output, h_n = results
    output = output.data if isinstance(output, PackedSequence) else output
    return output.square().mean() + h_n.square().mean()


def given():
    return torch.randn(5, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def agree(found):
    """Two lists of tensors by equal formulas: some hundred roundings of the largest number."""
    for mine, other in zip(*found, strict=True):
        assert distance(mine, other) <= 1e-12 * max(1, largest(other))


OPTIMISERS = {
    "SGD": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "SGD one by one": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, foreach=False),
    "SGD together": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, foreach=True),
    "SGD fused": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, fused=True),
    "Adam together": lambda p: torch.optim.Adam(p, 0.01, eps=1e-3, foreach=True),
    "AdamW fused": lambda p: torch.optim.AdamW(p, 0.01, eps=1e-3, fused=True),
}


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("clip", ["norm", "value", "norm of all", "nothing"])
def test_optimisers_and_clipping(optimiser, clip):
    found = []
    for kind in KINDS:
        rnn, x = build(kind, DEEP, torch.float64), given()
        optimizer = OPTIMISERS[optimiser](rnn.parameters())
        norms = []
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(rnn(x)).backward()
            if clip == "value":
                utils.clip_grad_value_(rnn.parameters(), 0.01)
            elif clip != "nothing":
                together = clip == "norm of all"
                norms.append(utils.clip_grad_norm_(rnn.parameters(), 0.1, foreach=together))
            optimizer.step()
        found.append([*norms, *(p.detach() for p in rnn.parameters())])
    agree(found)


@pytest.mark.parametrize(
    "frozen", ["weight_ih", "weight_hh", "bias", "_l0", "_reverse", "l1_reverse", "_"]
)
@pytest.mark.parametrize("of_x", [False, True], ids=["x given", "x wanted"])
def test_a_part_that_does_not_learn(frozen, of_x):
    found = []
    for kind in KINDS:
        rnn, x = build(kind, DEEP, torch.float64), given().requires_grad_(of_x)
        for name, p in rnn.named_parameters():
            p.requires_grad_(frozen not in name)
        loss = loss_of(rnn(x))
        assert loss.requires_grad == (of_x or frozen != "_")
        if loss.requires_grad:
            loss.backward()
        gradients = {name: p.grad for name, p in rnn.named_parameters()} | {"x": x.grad}
        for name, _ in rnn.named_parameters():
            assert (gradients[name] is None) == (frozen in name), name
        found.append(gradients)
    agree([[g for g in gradients.values() if g is not None] for gradients in found])


def test_gradients_add_up():
    rnn, x = build(elman.RNN, DEEP, torch.float64), given()
    loss_of(rnn(x)).backward()
    once = [p.grad.clone() for p in rnn.parameters()]
    place = [p.grad.data_ptr() for p in rnn.parameters()]
    loss_of(rnn(x)).backward()
    assert [p.grad.data_ptr() for p in rnn.parameters()] == place
    for p, g in zip(rnn.parameters(), once, strict=True):
        assert torch.equal(p.grad, 2 * g)
    rnn.zero_grad(set_to_none=False)
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in rnn.parameters())


def test_weights_from_elsewhere():
    rnn, x = build(elman.RNN, DEEP, torch.float64), given()
    vector = utils.parameters_to_vector(rnn.parameters())
    twin = copy.deepcopy(rnn)
    utils.vector_to_parameters(vector * 2, twin.parameters())
    named = {name: 2 * p.detach() for name, p in rnn.named_parameters()}
    expected = twin(x)[0]
    assert torch.equal(torch.func.functional_call(rnn, named, (x,))[0], expected)
    with pytest.warns(FutureWarning, match="stateless.functional_call"):
        got = stateless.functional_call(rnn, named, (x,))[0]
    assert torch.equal(got, expected)
    averaged = torch.optim.swa_utils.AveragedModel(rnn)
    for model in (rnn, twin):
        averaged.update_parameters(model)
    middle = {name: 1.5 * p.detach() for name, p in rnn.named_parameters()}
    got, expected = averaged(x)[0], torch.func.functional_call(rnn, middle, (x,))[0]
    assert distance(got, expected) <= 1e-14


# --- autocast ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("with_hx", [False, True], ids=["no hx", "hx"])
def test_autocast_gradients_are_as_good_as_torchs(form, with_hx):
    for arguments in combinations(dropout=0.0, nonlinearity="tanh", batch_first=False):
        x, hx = make_inputs(arguments, form, with_hx, torch.float32)
        found = []
        for kind in KINDS:
            rnn = build(kind, arguments, torch.float32)
            with torch.autocast("cpu", torch.bfloat16):
                found.append(run(rnn, x, hx, form))
        exact = build(nn.RNN, arguments, torch.float32).double()
        inputs = [t if t is None else t.detach().double().requires_grad_() for t in (x, hx)]
        for name, truth in run(exact, *inputs, form).items():
            mine, other = found[0][name], found[1][name]
            assert mine.dtype == other.dtype, name
            if not truth.is_floating_point():
                continue
            # bfloat16 it went through, whatever it is in; eight roundings a step and layer,
            # as in test_modes.py, and as many back
            mine, other = (t.to(torch.bfloat16) for t in (mine, other))
            roundings = 2 * 8 * 5 * arguments["num_layers"]
            good, says = as_good(mine, other, truth, roundings, max(1.0, largest(truth)))
            assert good, f"{arguments}: {name}: {says}"


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_learns(kind):
    rnn = build(kind, DEEP, torch.float32)
    x = given().float()
    optimizer = torch.optim.Adam(rnn.parameters(), 0.01)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(rnn(x))
        loss.backward()
        assert all(p.grad.dtype == torch.float32 for p in rnn.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_autocast_off_inside_autocast():
    rnn, x = build(elman.RNN, DEEP, torch.float32), given().float()
    expected = rnn(x)[0]
    with torch.autocast("cpu", torch.bfloat16), torch.autocast("cpu", enabled=False):
        assert torch.equal(rnn(x)[0], expected)
