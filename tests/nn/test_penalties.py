"""AR and TAR against loops, over rows of all lengths and in every form."""

import math

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import elman
from elman.nn import activation_penalty, slowness_penalty
from tests.tolerances import distance, worst

L, N, H = 6, 4, 3
LENGTHS = [3, 6, 0, 1]
PENALTIES = {"AR": activation_penalty, "TAR": slowness_penalty}
every_penalty = pytest.mark.parametrize("name", PENALTIES)


def states():
    return torch.randn(L, N, H, dtype=torch.float64)


def by_hand(name, x, lengths):
    found = []
    for n, length in enumerate(lengths):
        for t in range(name == "TAR", length):
            value = x[t, n] - x[t - 1, n] if name == "TAR" else x[t, n]
            found += [v * v for v in value.tolist()]
    return torch.tensor(math.fsum(found) / len(found), dtype=torch.float64)


@every_penalty
def test_against_a_loop(name):
    x, penalty = states(), PENALTIES[name]
    bound = worst(2 * L * N * H, 20)
    assert distance(penalty(x), by_hand(name, x, [L] * N)) <= bound
    assert distance(penalty(x[:, 0]), by_hand(name, x[:, :1], [L])) <= bound
    expected = by_hand(name, x, LENGTHS)
    for lengths in (LENGTHS, torch.tensor(LENGTHS)):
        assert distance(penalty(x, lengths), expected) <= bound
        assert distance(penalty(x.transpose(0, 1), lengths, True), expected) <= bound
    packed = pack_padded_sequence(x[:, [0, 1, 3]], [3, 6, 1], enforce_sorted=False)
    assert distance(penalty(packed), expected) <= bound


@every_penalty
def test_what_lies_beyond_is_never_read(name):
    x = states()
    for n, length in enumerate(LENGTHS):
        x[length:, n] = math.nan
    x.requires_grad_()
    value = PENALTIES[name](x, LENGTHS)
    value.backward()
    assert value.isfinite()
    assert x.grad.isfinite().all()
    assert (x.grad[:, 2] == 0).all()


@every_penalty
def test_nothing_there_is_zero(name):
    for x, lengths in ((torch.zeros(0, 2, 3), None), (torch.ones(4, 2, 3), [0, 0])):
        assert PENALTIES[name](x, lengths) == 0
    assert slowness_penalty(torch.ones(1, 2, 3)) == 0


def test_they_make_states_small_and_slow():
    x = torch.randn(20, 8, 3)
    ends = {}
    for name, penalty in PENALTIES.items():
        rnn = elman.RNN(3, 8)
        optimizer = torch.optim.SGD(rnn.parameters(), 0.5)
        before = penalty(rnn(x)[0]).item()
        for _ in range(30):
            optimizer.zero_grad()
            penalty(rnn(x)[0]).backward()
            optimizer.step()
        ends[name] = penalty(rnn(x)[0]).item() / before
    assert all(share < 0.3 for share in ends.values()), ends


def test_mistakes():
    packed = pack_padded_sequence(states(), [L] * N)
    for call, says in (
        (lambda: activation_penalty(packed, [1]), "of its own|its own"),
        (lambda: slowness_penalty(torch.zeros(3)), "1-D"),
        (lambda: activation_penalty(torch.zeros(3, 2), [1]), "2-D"),
        (lambda: activation_penalty(states(), [1, 2]), "lengths"),
        (lambda: activation_penalty(states(), [7, 1, 1, 1]), "lengths"),
    ):
        with pytest.raises(ValueError, match=says):
            call()
