"""Which token comes next: the exact sets, the exact shares, and <unk> never."""

import math
import sys
from collections import Counter

import numpy as np
import pytest
import torch

from elman.errors import SettingError, TrainingError
from elman.tasks.generate.sampling import check_sampling, sampled

P = [0.3, 0.2, 0.35, 0.05, 0.1]  # the first is <unk>: the others are 2/7, 1/2, 1/14, 1/7


def drawn(p, times=400, seed=0, **sampling):
    """How often each token was drawn."""
    rng = torch.Generator()
    rng.manual_seed(seed)
    log_probs = torch.tensor(p).log()
    return Counter(sampled(log_probs, rng, **sampling) for _ in range(times))


def shares(p, temperature=1.0, top_k=0, top_p=1.0):
    """The same distribution, written down plainly: a share for each token that may come."""
    weights = {i: q ** (1 / temperature) for i, q in enumerate(p) if i}
    order = sorted(weights, key=lambda i: -weights[i])[: top_k or None]
    total = sum(weights[i] for i in order)
    kept, together = [], 0.0
    for i in order:
        if together < top_p:
            kept.append(i)
            together += weights[i] / total
    total = sum(weights[i] for i in kept)
    return {i: weights[i] / total for i in kept}


@pytest.mark.parametrize(
    ("sampling", "tokens"),
    [
        ({}, {1, 2, 3, 4}),
        ({"top_k": 1}, {2}),
        ({"top_k": 2}, {1, 2}),
        ({"top_k": 3}, {1, 2, 4}),
        ({"top_k": 4}, {1, 2, 3, 4}),
        ({"top_k": 5}, {1, 2, 3, 4}),
        ({"top_k": 10**30}, {1, 2, 3, 4}),
        ({"top_p": 1e-300}, {2}),
        ({"top_p": 0.49}, {2}),
        ({"top_p": 0.51}, {1, 2}),
        ({"top_p": 0.78}, {1, 2}),
        ({"top_p": 0.79}, {1, 2, 4}),
        ({"top_p": 0.93}, {1, 2, 3, 4}),
        ({"top_k": 2, "top_p": 0.6}, {2}),  # of the two left it has 7/11
        ({"top_k": 2, "top_p": 0.65}, {1, 2}),
        ({"temperature": 0.5, "top_p": 0.6}, {2}),  # of the squares it has 49/75
        ({"temperature": 2.0, "top_p": 0.6}, {1, 2}),
    ],
    ids=str,
)
def test_the_exact_set(sampling, tokens):
    assert drawn(P, **sampling).keys() == tokens
    assert shares(P, **sampling).keys() == tokens


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3.0},
        {"top_k": 3},
        {"top_p": 0.8},
        {"temperature": 1.5, "top_k": 3, "top_p": 0.7},
    ],
    ids=str,
)
def test_the_exact_shares(sampling):
    times = 4000
    counts, expected = drawn(P, times, **sampling), shares(P, **sampling)
    for token, share in expected.items():
        deviation = math.sqrt(share * (1 - share) / times)
        assert abs(counts[token] / times - share) <= 5 * deviation, token


def test_many_distributions():
    rng = np.random.default_rng(0)
    for case in range(60):
        p = rng.dirichlet(np.full(8, 0.7)) + 1e-6
        p = (p / p.sum()).tolist()
        sampling = {
            "temperature": float(rng.uniform(0.3, 2)),
            "top_k": int(rng.integers(0, 9)),
            "top_p": float(rng.uniform(0.1, 1)),
        }
        expected, counts = shares(p, **sampling), drawn(p, 100, case, **sampling)
        assert counts.keys() <= expected.keys(), (p, sampling)
        for token, share in expected.items():
            assert share < 0.2 or token in counts, (p, sampling)  # 0.8^100 is 2e-10


@pytest.mark.parametrize("temperature", [0, 0.0, 1e-9, 5e-324])
def test_cold_is_greedy(temperature):
    assert drawn(P, 50, temperature=temperature) == {2: 50}


@pytest.mark.parametrize("temperature", [1e9, sys.float_info.max])
def test_hot_is_uniform(temperature):
    counts = drawn(P, 4000, temperature=temperature)
    assert counts.keys() == {1, 2, 3, 4}  # <unk> still not
    assert all(abs(n - 1000) < 5 * math.sqrt(4000 * 3 / 16) for n in counts.values())


def test_unknown_is_never_drawn_unless_there_is_no_other():
    assert drawn([0.999, 0.001], 200) == {1: 200}
    assert drawn([0.999, 0.0005, 0.0005], 50, temperature=0).keys() <= {1, 2}
    assert drawn([1.0], 5) == {0: 5}
    assert drawn([1.0], 5, temperature=0) == {0: 5}


def test_equals_share_but_are_not_more_than_asked_for():
    equal = [0.0] + [0.125] * 8
    assert len(drawn(equal, 300, top_k=3)) == 3
    assert len(drawn(equal, 300, top_k=1)) == 1
    assert len(drawn(equal, 300, top_p=0.3)) == 3
    assert len(drawn(equal, 300)) == 8


def test_impossible_tokens_never_come():
    assert drawn([0.5, 0.0, 0.25, 0.25], 200, temperature=1e6).keys() == {2, 3}
    assert drawn([0.5, 0.0, 0.25, 0.25], 200, top_k=3).keys() == {2, 3}


def test_the_seed_decides_and_nothing_else_is_touched():
    log_probs = torch.tensor(P).log()
    before, state = log_probs.clone(), torch.get_rng_state()
    runs = []
    for seed in (1, 1, 2):
        rng = torch.Generator()
        rng.manual_seed(seed)
        runs.append([sampled(log_probs, rng, 1.3, 3, 0.9) for _ in range(60)])
    assert runs[0] == runs[1] != runs[2]
    assert torch.equal(log_probs, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_numbers_that_are_not_finite(temperature, odd):
    with pytest.raises(TrainingError, match=r"beyond all bounds .*train it anew with tanh"):
        sampled(torch.tensor([0.1, odd, 0.2]), torch.Generator(), temperature)
    with pytest.raises(TrainingError, match="beyond all bounds"):
        sampled(torch.full((3,), -math.inf), torch.Generator(), temperature)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("temperature", v) for v in (-1, -1e-9, math.nan, math.inf, "1", None, True)),
        *(("top_k", v) for v in (-1, 1.0, 2.5, math.nan, "3", None, True)),
        *(("top_p", v) for v in (0, -0.1, 1.0001, math.nan, math.inf, "1", None, True)),
    ],
    ids=str,
)
def test_refused(name, value):
    arguments = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, name: value}
    with pytest.raises(SettingError, match=f"^{name} should be .*got "):
        check_sampling(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [(0, 0, 1), (0.8, 5, 0.9), (1e300, 10**9, 1e-9), (np.float32(0.8), np.int64(5), np.float64(1))],
    ids=str,
)
def test_taken(arguments):
    check_sampling(*arguments)
    assert sampled(torch.tensor(P).log(), torch.Generator(), *arguments) in {1, 2, 3, 4}
