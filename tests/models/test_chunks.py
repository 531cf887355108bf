"""SequenceRegressor and LanguageModel: the state is handed on, and they learn."""

import math

import pytest
import torch
from torch.nn import functional

from elman.models import LanguageModel, SequenceRegressor

CUTS = [(30,), (10, 10, 10), (1, 29), (7, 0, 23), (1,) * 30]


def regressor(**form):
    return SequenceRegressor(2, 5, 3, **form).double().eval(), torch.randn(4, 30, 2).double()


def language(**form):
    return LanguageModel(9, 4, 6, **form).double().eval(), torch.randint(0, 9, (4, 30))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("make", [regressor, language])
@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_in_chunks_as_in_one(make, cuts, layers):
    model, x = make(num_layers=layers)
    whole, last = model(x)
    state, parts = None, []
    for part in x.split(cuts, dim=1):
        y, state = model(part, state)
        parts.append(y)
    assert (torch.cat(parts, 1) - whole).abs().max() <= 1e-12
    assert (state - last).abs().max() <= 1e-12
    assert state.shape == (layers, 4, model.rnn.hidden_size)


def test_the_regressor_is_a_linear_map_of_each_state():
    model, x = regressor(nonlinearity="relu")
    mirror = torch.nn.RNN(2, 5, nonlinearity="relu", batch_first=True, dtype=torch.float64)
    mirror.load_state_dict(model.rnn.state_dict())
    h, _ = mirror(x)
    y, _ = model(x)
    assert (y - (h @ model.linear.weight.T + model.linear.bias)).abs().max() <= 1e-12


def test_the_regressor_learns_cos_from_sin():
    """sin alone leaves the sign of cos open: without a memory the error is at best 0.5."""
    model = SequenceRegressor(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    t = torch.arange(2000, dtype=torch.float64) * (2 * math.pi / 25)
    x, y = t.sin().float()[None, :, None], t.cos().float()[None, :, None]
    state = None
    for x_k, y_k in list(zip(x.split(20, 1), y.split(20, 1), strict=True)) * 3:
        output, state = model(x_k, state)
        optimizer.zero_grad()
        functional.mse_loss(output, y_k).backward()
        optimizer.step()
        state = state.detach()
    with torch.no_grad():
        output, _ = model(x[:, :500])
        alone, _ = model(x[0, :500, None])  # each step a row of its own, without a past
    after_one_period = functional.mse_loss(output[:, 25:], y[:, 25:500])
    assert after_one_period <= 0.02  # a 25th of 0.5
    assert functional.mse_loss(alone, y[0, :500, None]) >= 0.4


def test_next_token_probabilities_sum_to_one():
    model, x = language()
    log_probs, _ = model(x)
    assert log_probs.shape == (4, 30, 9)
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(4, 30).double(), rtol=0, atol=1e-14)


def test_the_language_model_learns_a_repeating_text():
    text = "她问我，我问她。" * 12  # the 我 after ， and the 我 before 问 need the past
    ids = torch.tensor([[sorted(set(text)).index(c) for c in text]])
    model = LanguageModel(vocab_size=len(set(text)), embedding_size=8, hidden_size=24)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        log_probs, _ = model(ids[:, :-1])
        loss = functional.nll_loss(log_probs[0], ids[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        log_probs, _ = model(ids[:, :-1])
    wrong = (log_probs.argmax(-1) != ids[:, 1:]).flatten().nonzero().flatten().tolist()
    assert wrong in ([], [0])  # the first character alone tells little
    # without a past, each character after 她, 我 and 问 is a choice of two: log 2 on 6 of 8
    assert loss <= 0.1 * math.log(2) * 6 / 8


def test_the_language_model_sees_no_future():
    model, x = language(num_layers=2)
    changed = x.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % 9
    before, after = model(x)[0], model(changed)[0]
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.equal(before[:, 20], after[:, 20])


def test_no_rows_and_no_steps():
    for make, width in ((regressor, 3), (language, 9)):
        model, x = make()
        assert model(x[:0])[0].shape == (0, 30, width)
        y, state = model(x[:, :0])
        assert y.shape == (4, 0, width)
        assert not state.any()


def test_a_wrong_shape():
    model, x = regressor()
    with pytest.raises((ValueError, RuntimeError), match=r"2, got 3"):
        model(torch.zeros(4, 30, 3).double())
    with pytest.raises((ValueError, RuntimeError), match=r"\(1, 4, 5\)"):
        model(x, torch.zeros(1, 3, 5).double())
