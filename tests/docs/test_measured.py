"""What the pages call measured is what comes out when it is measured again."""

import json
import math

import pytest

from docs.learn.scripts import gradients, measure, remedies, speed, truncation

FOUND = json.loads(measure.FILE.read_text(encoding="utf-8"))


def test_every_part_is_there():
    assert set(FOUND) == {*measure.PARTS, "versions"}
    assert set(FOUND["gradients"]) == set(gradients.SETTINGS)
    for part, of, keys, seeds in (
        ("remedies", remedies.SETTINGS, remedies.LENGTHS, remedies.SEEDS),
        ("leak", remedies.LEAKS, remedies.LENGTHS, remedies.SEEDS),
        ("truncation", truncation.SETTINGS, truncation.CHUNKS, truncation.SEEDS),
    ):
        assert list(FOUND[part]) == list(of)
        for by_key in FOUND[part].values():
            assert list(by_key) == [str(key) for key in keys]
            assert {len(shares) for shares in by_key.values()} == {seeds}


@pytest.mark.parametrize("name", gradients.SETTINGS)
def test_gradients(name):
    # a product of fifty factors, each rounded in float32 and made of 64 terms: at most some
    # 50 · 64 · 6e-8 = 2e-4 of its size; and a relu that sits at zero may fall on either side
    sizes = gradients.sizes(*gradients.SETTINGS[name], seed=0)
    of = FOUND["gradients"][name]
    for k in (0, 1, 10, 20, 50):
        assert of["least"][k] * 0.99 <= sizes[k] <= of["largest"][k] * 1.01
    runs = [gradients.sizes(*gradients.SETTINGS[name], seed=seed)[50] for seed in range(10)]
    assert math.isclose(min(runs), of["least"][50], rel_tol=0.01)
    assert math.isclose(max(runs), of["largest"][50], rel_tol=0.01)


def test_the_gradient_at_a_state_is_what_finite_differences_say():
    import torch

    torch.manual_seed(0)
    cell = gradients.elman.RNNCell(3, 4, dtype=torch.float64)
    x, weight = torch.randn(5, 2, 3, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    first = cell(x[0]).detach()

    def loss(h):
        for x_t in x[1:]:
            h = cell(x_t, h)
        return (h * weight).sum()

    assert torch.autograd.gradcheck(loss, first.requires_grad_())


@pytest.mark.parametrize(
    ("name", "L", "learned"), [("tanh, uniform", 50, False), ("tanh, orthogonal", 20, True)]
)
def test_remedies(name, L, learned):
    # whether it learns is held, for a long training may part ways over the last bit
    share, _ = remedies.learn(*remedies.SETTINGS[name], L=L, seed=0, clip=1.0)
    told = FOUND["remedies"][name][str(L)][0]
    assert (share > 0.95) == (told > 0.95) == learned


def test_leak():
    how, leak = remedies.LEAKS["uniform, leak 0.1"]
    share, _ = remedies.learn("tanh", how, L=20, seed=0, clip=1.0, leak=leak)
    assert share > 0.95
    assert FOUND["leak"]["uniform, leak 0.1"]["20"][0] > 0.95
    without, _ = remedies.learn("tanh", how, L=20, seed=0, clip=1.0)
    assert without < 0.95  # and so it is the leak


def test_truncation():
    setting = truncation.SETTINGS["uniform, carried"]
    short, enough = (truncation.learn(*setting, chunk, seed=0) for chunk in (5, 20))
    assert short < 0.7 < 0.95 < enough
    assert FOUND["truncation"]["uniform, carried"]["5"][0] < 0.7
    assert FOUND["truncation"]["uniform, carried"]["20"][0] > 0.95


def test_the_two_things_timed_are_the_same():
    for run in speed.pair():  # which holds their results equal
        run()
    assert FOUND["speed"]["lower"] <= FOUND["speed"]["median"] <= FOUND["speed"]["upper"]
