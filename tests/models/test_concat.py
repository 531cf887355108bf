"""ConcatRNN: one step by hand, and its hidden path as an elman.RNN."""

import math

import pytest
import torch

from elman.models import ConcatRNN

FUNCTIONS = {None: lambda a: a, "tanh": math.tanh, "relu": lambda a: max(a, 0.0)}


@pytest.mark.parametrize("nonlinearity", FUNCTIONS)
def test_one_step_by_hand(nonlinearity):
    model = ConcatRNN(2, 2, 2, nonlinearity).double()
    with torch.no_grad():
        model.i2h.weight[:] = torch.tensor([[1.0, 2.0, 0.5, -1.0], [-1.0, 0.25, 2.0, 1.0]])
        model.i2h.bias[:] = torch.tensor([0.125, -0.5])
        model.i2o.weight[:] = torch.tensor([[1.0, 0.0, 0.0, 2.0], [0.0, -1.0, 3.0, 0.0]])
        model.i2o.bias[:] = torch.tensor([0.0, 0.5])
    x = torch.tensor([[0.5, -0.25]], dtype=torch.float64)
    h = torch.tensor([[0.25, 1.0]], dtype=torch.float64)
    # [x, h] = [0.5, -0.25, 0.25, 1]
    before_f = [0.5 - 0.5 + 0.125 - 1 + 0.125, -0.5 - 0.0625 + 0.5 + 1 - 0.5]
    scores = [0.5 + 2, 0.25 + 0.75 + 0.5]
    total = math.log(sum(map(math.exp, scores)))
    output, hidden = model(x, h)
    assert hidden.tolist()[0] == pytest.approx(
        [FUNCTIONS[nonlinearity](a) for a in before_f], abs=1e-15
    )
    assert output.tolist()[0] == pytest.approx([s - total for s in scores], abs=1e-15)


def test_log_probabilities_sum_to_one():
    model = ConcatRNN(5, 7, 3).double()
    hidden = model.init_hidden(11)
    for _ in range(4):
        output, hidden = model(torch.randn(11, 5, dtype=torch.float64), hidden)
        assert torch.allclose(output.exp().sum(1), torch.ones(11).double(), rtol=0, atol=1e-14)
        assert (output < 0).all()


def test_the_first_state_is_zeros_of_the_weights_kind():
    model = ConcatRNN(5, 7, 3)
    assert torch.equal(model.init_hidden(), torch.zeros(1, 7))
    assert torch.equal(model.double().init_hidden(4), torch.zeros(4, 7, dtype=torch.float64))


@pytest.mark.parametrize("nonlinearity", FUNCTIONS)
def test_to_rnn_has_the_same_states(nonlinearity):
    model = ConcatRNN(5, 7, 3, nonlinearity).double()
    x, first = torch.randn(20, 6, 5).double(), torch.randn(6, 7).double()
    hidden, states = first, []
    for x_t in x:
        _, hidden = model(x_t, hidden)
        states.append(hidden)
    rnn = model.to_rnn()
    output, last = rnn(x, first[None])
    assert rnn.nonlinearity == (nonlinearity or "identity")
    assert (output - torch.stack(states)).abs().max() <= 1e-12
    assert (last[0] - hidden).abs().max() <= 1e-12


def test_to_rnn_has_weights_of_its_own():
    model = ConcatRNN(5, 7, 3)
    rnn = model.to_rnn()
    before = model.i2h.weight.clone()
    with torch.no_grad():
        rnn.weight_ih_l0.add_(1)
        rnn.bias_ih_l0.add_(1)
    assert torch.equal(model.i2h.weight, before)
    assert all(p.requires_grad for p in rnn.parameters())


def test_an_unknown_nonlinearity():
    with pytest.raises(ValueError, match=r"nonlinearity should be None or one of .*'sin'"):
        ConcatRNN(5, 7, 3, "sin")


@pytest.mark.parametrize(
    ("x", "h", "message"),
    [
        ((4, 6), (4, 7), r"input should be \(N, 5\), got \(4, 6\)"),
        ((5,), (4, 7), r"input should be \(N, 5\), got \(5,\)"),
        ((1, 4, 5), (4, 7), r"input should be \(N, 5\), got \(1, 4, 5\)"),
        ((4, 5), (4, 5), r"hidden should be \(N, 7\), got \(4, 5\)"),
        ((4, 5), (7,), r"hidden should be \(N, 7\), got \(7,\)"),
        ((4, 5), (1, 7), "input and hidden should have as many rows, got 4 and 1"),
    ],
)
def test_a_wrong_shape(x, h, message):
    with pytest.raises(ValueError, match=message):
        ConcatRNN(5, 7, 3)(torch.zeros(x), torch.zeros(h))


def test_gradients_reach_every_weight():
    model = ConcatRNN(3, 4, 2).double()
    x, h = torch.randn(2, 3).double(), torch.randn(2, 4).double()

    def two_steps(*weights):
        names = [name for name, _ in model.named_parameters()]
        values = dict(zip(names, weights, strict=True))
        _, hidden = torch.func.functional_call(model, values, (x, h))
        return torch.func.functional_call(model, values, (x, hidden))

    weights = tuple(p.detach().clone().requires_grad_() for p in model.parameters())
    assert torch.autograd.gradcheck(two_steps, weights)
