"""The numbers of a trace against torch: states, gradients, Jacobians, and sums that add up."""

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman.models import ConcatRNN, LanguageModel, SequenceClassifier
from elman.view.memory import spectral_radius, stretch
from elman.view.steps import Jacobians
from tests.tolerances import distance, largest
from tests.view.networks import array, by_hand, document, eye_like, layer

CASES = {
    "tanh": (layer(3, 5), 7),
    "relu, no bias": (layer(2, 4, nonlinearity="relu", bias=False), 6),
    "two layers, both ways": (layer(3, 4, num_layers=2, bidirectional=True), 5),
    "one unit, one step": (layer(1, 1), 1),
    "identity": (elman.RNN(2, 3, nonlinearity="identity"), 4),
    "batch_first, elman": (elman.RNN(3, 6, num_layers=3, batch_first=True), 8),
}


@pytest.fixture(params=CASES)
def case(request):
    rnn, L = CASES[request.param]
    torch.manual_seed(2)
    return rnn, torch.randn(L, rnn.input_size)


def test_states_and_gradients_are_those_of_the_equation(case):
    rnn, x = case
    chains = elman.view(rnn, x).trace.chains
    truth = by_hand(rnn, x)
    ends = [of[0] if chains[k].weights.reverse else of[-1] for k, of in enumerate(truth)]
    loss = torch.cat(ends[-(2 if rnn.bidirectional else 1) :]).square().sum() / 2
    loss.backward()
    assert len(chains) == len(truth)
    for chain, states in zip(chains, truth, strict=True):
        torch.testing.assert_close(
            chain.states.double(), torch.stack(states).detach(), rtol=0, atol=1e-6
        )
        norms = torch.tensor([0.0 if h.grad is None else h.grad.norm().item() for h in states])
        torch.testing.assert_close(chain.gradient.float(), norms, rtol=1e-5, atol=1e-6)


def test_the_top_states_are_the_models_own_to_the_bit(case):
    rnn, x = case
    chains = elman.view(rnn, x).trace.chains
    top = torch.cat([c.states for c in chains[-(2 if rnn.bidirectional else 1) :]], 1)
    with torch.no_grad():
        assert torch.equal(top, rnn(x)[0])


def test_a_row_of_a_batch_from_a_state():
    rnn, x = layer(3, 4, num_layers=2), torch.randn(6, 5, 3)
    h_0 = torch.randn(2, 5, 4)
    trace = elman.view(rnn, x, h_0, row=3).trace
    with torch.no_grad():
        output, _ = rnn(x, h_0)
    torch.testing.assert_close(trace.chains[1].states, output[:, 3], rtol=0, atol=1e-6)
    assert torch.equal(trace.chains[0].first, h_0[0, 3])
    assert torch.equal(trace.chains[0].before[0], h_0[0, 3])


def test_jacobians_against_autograd():
    rnn, x = layer(2, 6), torch.randn(9, 2)
    trace = elman.view(rnn, x).trace
    h, memory = trace.chains[0].states.double(), trace.memory[0]
    W, U, b = (
        rnn.weight_hh_l0.detach().double(),
        rnn.weight_ih_l0.detach().double(),
        (rnn.bias_ih_l0 + rnn.bias_hh_l0).detach().double(),
    )
    before = torch.cat([torch.zeros(1, 6).double(), h[:-1]])
    steps = [
        torch.autograd.functional.jacobian(
            lambda s, t=t: torch.tanh(x[t].double() @ U.T + b + s @ W.T), before[t]
        )
        for t in range(9)
    ]
    product, gains = torch.eye(6).double(), [1.0]
    for J in reversed(steps[1:]):
        product = product @ J
        gains.append(float(product.norm() / 6**0.5))
    torch.testing.assert_close(memory.gain, torch.tensor(gains[::-1]).double(), rtol=1e-5, atol=0)
    norms = torch.stack([torch.linalg.matrix_norm(J, 2) for J in steps])
    torch.testing.assert_close(memory.jacobian, norms, rtol=1e-5, atol=0)
    assert memory.radius == pytest.approx(np.abs(np.linalg.eigvals(W.numpy())).max(), rel=1e-9)


@pytest.mark.parametrize("H", [1, 5, 128, 129, 300])
def test_the_largest_singular_values_at_any_size(H):
    torch.manual_seed(3)
    W, slopes = torch.randn(H, H).double() / H**0.5, torch.rand(4, H).double()
    slopes[2] = 0  # all units off, as relu's may be
    truth = torch.stack([torch.linalg.matrix_norm(s[:, None] * W, 2) for s in slopes])
    torch.testing.assert_close(stretch(Jacobians(W, slopes)), truth, rtol=1e-6, atol=1e-12)


def test_the_spectral_radius_of_a_large_matrix():
    torch.manual_seed(4)
    W = torch.randn(1100, 1100).double() / 1100**0.5 + 3 / 1100  # one eigenvalue stands out
    truth = float(torch.linalg.eigvals(W).abs().max())
    assert spectral_radius(W) == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize(
    ("scale", "verdict"), [(0.3, "vanishing"), (1.0, "healthy"), (2.0, "exploding")]
)
def test_the_verdict(scale, verdict):
    rnn = eye_like(elman.RNN(2, 3, nonlinearity="identity"), scale)
    memory = elman.view(rnn, torch.randn(11, 2)).trace.memory[0]
    assert memory.verdict == verdict
    assert memory.gain[0] == pytest.approx(scale**10, rel=1e-6)
    # the first whole number of steps after which less than a hundredth is left
    assert memory.lasts == (4 if verdict == "vanishing" else None)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", None])
def test_concat(nonlinearity):
    model = ConcatRNN(4, 5, 3, nonlinearity)
    x, hidden = torch.eye(4), torch.randn(1, 5)
    page = elman.view(model, x, hidden)
    said, states, h = [], [], hidden
    with torch.no_grad():
        for x_t in x:
            output, h = model(x_t[None], h)
            said.append(output[0].exp())
            states.append(h[0])
    torch.testing.assert_close(page.trace.chains[0].states, torch.stack(states), rtol=0, atol=1e-6)
    p = array(document(page.html)["outputs"]["p"])
    torch.testing.assert_close(p, torch.stack(said), rtol=0, atol=1e-6)
    assert page.trace.chains[0].gradient[-1] == 0  # y_T is made of h_{T-1}
    assert page.trace.chains[0].gradient[-2] > 0


@pytest.mark.parametrize("kind", [nn.RNNCell, elman.RNNCell])
def test_cells(kind):
    cell, x = kind(3, 4), torch.randn(5, 3)
    h, states = torch.zeros(1, 4), []
    with torch.no_grad():
        for x_t in x:
            h = cell(x_t[None], h)
            states.append(h[0])
    found = elman.view(cell, x).trace.chains[0].states
    torch.testing.assert_close(found, torch.stack(states), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("H", "F", "L", "layers"), [(40, 600, 20, 1), (700, 12, 100, 1), (600, 40, 30, 2)]
)
def test_what_is_left_out_still_enters_the_sums(H, F, L, layers):
    rnn = layer(F, H, num_layers=layers)
    page = elman.view(rnn, torch.randn(L, F))
    for k, of in enumerate(document(page.html)["chains"]):
        chain, units, inputs = page.trace.chains[k], of["units"], of["inputs"]
        assert len(units) < H or len(inputs) < F
        h, x = chain.before[:, units].double(), chain.inputs[:, inputs].double()
        sums = x @ array(of["weightIh"]).double().T + h @ array(of["weightHh"]).double().T
        sums += array(of["biasIh"]).double() + array(of["biasHh"]).double()
        for rest in ("restIh", "restHh"):
            if of[rest] is not None:
                sums += array(of[rest]).double()
        # the network's own float32 sum: as many roundings as terms, walking (tests/tolerances.py)
        terms = chain.inputs.shape[1] + H
        walk = 4 * (terms / 12) ** 0.5 * torch.finfo(torch.float32).eps * largest(sums)
        assert distance(torch.tanh(sums), chain.states[:, units]) <= walk


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"num_layers": 2}], ids=str)
def test_the_last_steps_are_shown_of_all_that_were_read(options):
    rnn, x = layer(2, 3, **options), torch.randn(30, 2)
    page, whole = elman.view(rnn, x, steps=12), elman.view(rnn, x)
    of, all_of = document(page.html), document(whole.html)
    assert (of["first"], of["of"], len(of["steps"])) == (18, 30, 12)
    for part, entire in zip(of["chains"], all_of["chains"], strict=True):
        for name in ("h", "gradient", "gain", "jacobian"):
            torch.testing.assert_close(
                array(part[name]), array(entire[name])[18:], rtol=1e-5, atol=1e-9
            )
    assert torch.equal(array(of["chains"][0]["before"]), array(all_of["chains"][0]["h"])[17])
    if rnn.bidirectional:
        assert not array(of["chains"][1]["before"]).any()


def test_one_step_of_many():
    model = ConcatRNN(2, 3, 2)
    assert len(elman.view(model, torch.randn(5, 2), steps=1).trace.memory[0].gain) == 1
    page = elman.view(nn.RNN(2, 3), torch.randn(5000, 2), steps=1)  # without going all the way back
    assert len(page.trace.chains[0].gradient) == 1


def test_a_model_is_left_as_it_was():
    rnn = nn.RNN(2, 3, num_layers=2, dropout=0.5)
    before = {name: p.clone() for name, p in rnn.state_dict().items()}
    elman.view(rnn, torch.randn(4, 2))
    assert rnn.training
    assert all(torch.equal(p, before[name]) for name, p in rnn.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in rnn.parameters())


def test_rows_of_their_own_lengths():
    """Packed or nested: each row as the network reads it alone."""
    rnn = nn.RNN(2, 3, batch_first=True)
    rows = [torch.randn(n, 2) for n in (2, 5, 3)]
    packed = nn.utils.rnn.pack_sequence(rows, enforce_sorted=False)
    nested = torch.nested.nested_tensor(rows, layout=torch.jagged)
    for k, one in enumerate(rows):
        alone = elman.view(rnn, one).trace.chains[0].states
        for x in (packed, nested):
            assert torch.equal(elman.view(rnn, x, row=k).trace.chains[0].states, alone)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_network_of_two_bytes_is_read_in_float32(dtype):
    rnn = nn.RNN(3, 8, num_layers=2, bidirectional=True).to(dtype)
    x = torch.randn(6, 3).to(dtype)
    same = nn.RNN(3, 8, num_layers=2, bidirectional=True)
    same.load_state_dict({name: p.float() for name, p in rnn.state_dict().items()})
    chains = elman.view(rnn, x).trace.chains
    for ours, theirs in zip(chains, elman.view(same, x.float()).trace.chains, strict=True):
        assert torch.equal(ours.states, theirs.states)
    assert rnn.weight_hh_l0.dtype == dtype


def test_the_verdict_is_of_all_steps_that_it_names():
    """Of a network that reads both ways all are gone back through, though few are shown."""
    rnn, x = nn.RNN(2, 4, bidirectional=True), torch.randn(30, 2)
    page = document(elman.view(rnn, x, steps=5).html)["chains"]
    whole = elman.view(rnn, x, steps=30).trace.memory
    for chain, memory, first in zip(page, whole, (0, -1), strict=True):
        assert chain["whole"] == 30
        assert chain["arrives"] == pytest.approx(float(memory.gain[first]))
        assert chain["most"] == pytest.approx(float(memory.gain.max()))


def test_a_writer_is_not_said_to_write_what_it_never_writes(writer):
    said = document(elman.view(writer, "我爱").html)["outputs"]
    assert not any("<unk>" in names for names in said["names"])


def test_a_hook_that_changes_the_states_is_told_of():
    rnn = nn.RNN(2, 3)
    rnn.register_forward_hook(lambda module, args, out: (out[0] + 1, out[1]))
    with pytest.raises(ValueError, match="remove hooks"):
        elman.view(rnn, torch.randn(4, 2))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: elman.view(nn.LSTM(2, 3), torch.randn(4, 2)), TypeError, "got LSTM"),
        (lambda: elman.view(nn.RNN(2, 3), torch.randn(4, 5)), ValueError, "2 numbers at each step"),
        (lambda: elman.view(nn.RNN(2, 3), torch.randn(0, 2)), ValueError, "at least one step"),
        (lambda: elman.view(nn.RNN(2, 3), torch.randn(4, 1, 2), row=1), ValueError, "row should"),
        (lambda: elman.view(nn.RNN(2, 3), torch.randn(4, 2), steps=0), ValueError, "steps should"),
        (
            lambda: elman.view(nn.RNN(2, 3), torch.randn(4, 2), labels=["a"]),
            ValueError,
            "labels should be 4",
        ),
        (
            lambda: elman.view(nn.RNN(2, 3), torch.randn(4, 2), torch.zeros(3)),
            ValueError,
            "h_0 should be",
        ),
        (
            lambda: elman.view(nn.RNN(2, 3), torch.full((4, 2), float("nan"))),
            ValueError,
            "finite numbers, got nan at step 1",
        ),
        (
            lambda: elman.view(LanguageModel(10, 4, 6), torch.tensor([1, 10])),
            ValueError,
            "ids from 0 to 9, got 10 at step 2",
        ),
        (
            lambda: elman.view(LanguageModel(10, 4, 6), torch.tensor([1.0, 2.0])),
            ValueError,
            "whole numbers, got torch.float32",
        ),
    ],
)
def test_errors(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_of_many_classes_what_is_said_is_the_likeliest_of_all():
    """Only twelve have curves; at a step another may be the likeliest."""
    torch.manual_seed(0)
    model = SequenceClassifier(input_size=4, hidden_size=8, num_classes=50)
    with torch.no_grad():
        model.linear.weight.mul_(20)
        model.rnn.weight_ih_l0.mul_(3)
    x = torch.randn(60, 4)
    x[-2:] *= 0.02
    said = document(elman.view(model, x).html)["outputs"]
    with torch.no_grad():
        probabilities = torch.stack([model(x[None, : t + 1])[0].softmax(-1) for t in range(60)])
    best = [str(k) for k in probabilities.argmax(1).tolist()]
    assert said["said"] == best
    assert not set(best) <= set(said["names"])
    assert said["answer"] == best[-1]
    assert said["answer"] in said["names"]
    assert len(said["names"]) == 12
    found = array(said["said_p"])
    assert (found - probabilities.max(1).values).abs().max() < 1e-5
