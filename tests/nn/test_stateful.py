"""State carried from call to call."""

import copy
import pickle

import pytest
import torch
from torch import nn

import elman
from elman.nn import Stateful, truncated

L, N, K, H = 9, 4, 3, 5


@pytest.mark.parametrize(
    "make", [elman.RNN, nn.RNN, lambda *a: elman.RNN(*a, wiring=elman.Wiring(hidden_sizes=(6, H)))]
)
def test_parts_are_the_whole(make):
    rnn = make(K, H, 2)
    live, x = Stateful(rnn), torch.randn(L, N, K)
    parts = torch.cat([live(part) for part in x.split([1, 5, 3])])
    whole, h_n = rnn(x)
    torch.testing.assert_close(parts, whole)
    for one, other in zip(live.state, h_n, strict=True):
        torch.testing.assert_close(one, other)


def test_a_gradient_ends_where_a_call_begins():
    rnn, x = elman.RNN(K, H), torch.randn(L, N, K, requires_grad=True)
    for truncate in (True, False):
        live = Stateful(rnn, truncate=truncate)
        live(x[:4])
        (gradient,) = torch.autograd.grad(live(x[4:]).sum(), x)
        assert (gradient[:4] == 0).all() == truncate
    live.detach()
    assert not live.state.requires_grad


def test_some_rows_begin_anew():
    rnn, x = elman.RNN(K, H, 2), torch.randn(L, N, K)
    live = Stateful(rnn)
    live(x[:4])
    live.reset(torch.tensor([True, False, True, False]))
    output, fresh, on = live(x[4:]), rnn(x[4:])[0], rnn(x)[0][4:]
    torch.testing.assert_close(output[:, 0::2], fresh[:, 0::2])
    torch.testing.assert_close(output[:, 1::2], on[:, 1::2])
    live.reset()
    torch.testing.assert_close(live(x[:, :2]), rnn(x[:, :2])[0])  # another N too


@pytest.mark.parametrize("truncate", [True, False])
@pytest.mark.parametrize(
    "made_of",
    [copy.deepcopy, lambda live: pickle.loads(pickle.dumps(live))],
    ids=["copy", "pickle"],
)
def test_a_copy_goes_on_from_the_same_state(made_of, truncate):
    """The graph that made the state, which torch does not copy, stays behind."""
    live, x = Stateful(elman.RNN(K, H), truncate), torch.randn(L, N, K)
    live(x[:4])
    other = made_of(live)
    assert not other.state.requires_grad
    assert live.state.requires_grad != truncate
    torch.testing.assert_close(other(x[4:]), live(x[4:]), rtol=0, atol=0)


def test_the_state_goes_where_the_layer_goes():
    layers = elman.RNN(K, H, 2, wiring=elman.Wiring(hidden_sizes=(6, H)))
    for rnn in (elman.RNN(K, H), layers):
        live, x = Stateful(rnn), torch.randn(L, N, K)
        live(x[:4])
        whole = live.double()(x[4:].double())
        torch.testing.assert_close(whole, rnn(x.double())[0][4:], rtol=1e-6, atol=1e-6)
    assert live.to("meta").state[1].is_meta


def test_other_arguments_are_the_layers_own():
    rnn, x = elman.RNN(K, H), torch.randn(L, N, K)
    live = Stateful(rnn)
    live(x[:4], lengths=[4, 2, 0, 1])
    output = live(x[4:], reset=torch.ones(L - 4, N, dtype=torch.bool))
    torch.testing.assert_close(output[0], rnn(x[4:5])[0][0])


def test_chunks_of_sequences_that_belong_together():
    x, y = torch.arange(10.0).view(5, 2), torch.arange(20.0).view(5, 2, 2)
    parts = list(truncated(x, y, steps=2))
    assert [len(a) for a, _ in parts] == [2, 2, 1]
    assert torch.equal(torch.cat([b for _, b in parts]), y)
    assert [a.shape[1] for (a,) in truncated(x.T, steps=3, dim=1)] == [3, 2]


def test_what_is_refused():
    with pytest.raises(ValueError, match="reads from the end"):
        Stateful(elman.RNN(K, H, bidirectional=True))
    with pytest.raises(ValueError, match="reads from the end"):
        Stateful(elman.RNN(K, H, wiring=elman.Wiring(reverse=True)))
    live = Stateful(elman.RNN(K, H))
    live(torch.randn(L, N, K))
    with pytest.raises(ValueError, match="4 bools"):
        live.reset(torch.tensor([True]))
    with pytest.raises(RuntimeError, match="hx should be"):
        live(torch.randn(L, N + 1, K))
    with pytest.raises(ValueError, match="at least 1"):
        next(truncated(torch.zeros(3), steps=0))
    with pytest.raises(ValueError, match="one length"):
        next(truncated(torch.zeros(3), torch.zeros(4), steps=1))
