"""The naive forecasts, and what stands around the network: by hand, and nothing looks ahead."""

import numpy as np
import pytest
import torch

from elman.tasks.forecast.frame import Frame, input_size
from elman.tasks.forecast.lesson import new_network
from elman.tasks.forecast.naive import followed, naive, seasonal_naive
from elman.tasks.settings import SINCE, ForecasterSettings

SEASONS = [[1], [2], [7], [1, 1], [3, 1], [4, 9]]


def series(C, T=60, seed=0):
    return np.random.default_rng(seed).standard_normal((T, C)).cumsum(0)


def settings(**changes):
    known = {
        "hidden_size": 4, "num_layers": 1, "nonlinearity": "tanh", "dropout": 0.0,
        "init": "orthogonal", "epochs": 1, "batch_size": 32, "lr": 0.01, "weight_decay": 0.0,
        "clip": 1.0, "patience": 1, "validation": 0.15, "random_state": 0, "device": "cpu",
        "horizon": 5, "season": None, "chunk": 32, "coverage": 0.9, **SINCE,
    }  # fmt: skip
    return ForecasterSettings(**(known | changes))


def test_naive_by_hand():
    y = np.array([[1.0, 10.0], [2.0, 20.0]])
    assert naive(y, 2).tolist() == [[[1, 10], [1, 10]], [[2, 20], [2, 20]]]


@pytest.mark.parametrize("seasons", SEASONS, ids=str)
@pytest.mark.parametrize("horizon", [1, 5, 12])
def test_seasonal_naive_by_hand(seasons, horizon):
    y = series(len(seasons))
    found = seasonal_naive(y, horizon, seasons)
    assert found.shape == (len(y), horizon, len(seasons))
    for t in range(len(y)):
        for h in range(1, horizon + 1):
            for column, m in enumerate(seasons):
                then = t + h
                while then > t:
                    then -= m
                assert found[t, h - 1, column] == y[then if then >= 0 else t, column]


def test_a_season_of_one_is_naive():
    y = series(2)
    assert np.array_equal(seasonal_naive(y, 6, [1, 1]), naive(y, 6))


def test_what_followed():
    y = series(2, T=9)
    found = followed(y, 4)
    for t in range(9):
        for h in range(1, 5):
            wanted = y[t + h] if t + h < 9 else [np.nan] * 2
            assert np.array_equal(found[t, h - 1], wanted, equal_nan=True)
    assert np.isnan(followed(y[:3], 7)[:, 2:]).all()


@pytest.mark.parametrize("seasons", SEASONS, ids=str)
def test_targets_and_forecasts_are_inverse(seasons):
    y, horizon = series(len(seasons)), 5
    frame = Frame.of(y, horizon, None if len(set(seasons)) > 1 else seasons[0])
    said = frame.targets(y).reshape(len(y), -1)
    there = ~np.isnan(followed(y, horizon))
    assert np.array_equal(np.isnan(said).reshape(there.shape), ~there)
    back = frame.forecasts(y, said)
    assert np.allclose(back[there], followed(y, horizon)[there], rtol=1e-12, atol=1e-12)
    assert np.array_equal(frame.forecasts(y, np.zeros_like(said)), frame.anchor(y))


@pytest.mark.parametrize("season", [1, 6])
def test_the_anchor_and_the_scale_by_hand(season):
    pattern = np.resize(np.random.default_rng(1).standard_normal(6), 60)[:, None]
    y, horizon = pattern + 0.1 * series(1, seed=2), 4
    frame = Frame.of(y, horizon, season)
    first = season if season > 1 else 0
    plain, seasonal = (np.zeros(horizon) for _ in range(2))
    for h in range(1, horizon + 1):
        rows = range(first, len(y) - horizon)
        plain[h - 1] = np.mean([abs(y[t + h, 0] - y[t, 0]) for t in rows])
        ago = [seasonal_naive(y, horizon, [season])[t, h - 1, 0] for t in rows]
        seasonal[h - 1] = np.mean([abs(y[t + h, 0] - a) for t, a in zip(rows, ago, strict=True)])
    better = seasonal < 0.999 * plain
    assert np.array_equal(frame.seasonal[:, 0], better)
    assert better.any() == (season == 6)
    assert np.allclose(frame.scale[:, 0], np.where(better, seasonal, plain), rtol=1e-12)


@pytest.mark.parametrize("unit", [1e-200, 1e-12, 1.0, 1e12, 1e90])
def test_columns_of_any_unit_look_the_same_to_the_network(unit):
    wave = np.sin(2 * np.pi * np.arange(120) / 12) + 0.05 * series(1, T=120)[:, 0]
    alone = Frame.of(wave[:, None], 3, None)
    both = np.stack([wave * unit, wave], axis=1)
    frame = Frame.of(both, 3, None)
    assert frame.seasons == [12, 12]
    if unit >= 1e-100:  # the square of less is no number any more
        inputs = frame.inputs(both)
        assert np.allclose(inputs[:, 0], inputs[:, 1], rtol=1e-5, atol=1e-5)
        assert np.allclose(inputs[:, 1], alone.inputs(wave[:, None])[:, 0], rtol=1e-5, atol=1e-5)
    targets = frame.targets(both)[:-3]
    assert np.allclose(targets[:, :, 0], targets[:, :, 1], rtol=1e-9, atol=1e-9)


def test_a_column_that_never_changes():
    y = np.stack([series(1)[:, 0], np.full(60, 5.0)], axis=1)
    frame = Frame.of(y, 3, None)
    assert np.isfinite(frame.inputs(y)).all()
    assert frame.scale[:, 1].tolist() == [1.0] * 3
    assert (frame.targets(y)[:-3, :, 1] == 0).all()


def test_far_from_what_was_fitted_is_still_a_number():
    y = series(1)
    frame = Frame.of(y, 3, 4)
    assert np.isfinite(frame.inputs(y * 1e99)).all()


@pytest.mark.parametrize("seasons", SEASONS, ids=str)
def test_nothing_later_is_read(seasons):
    y, t = series(len(seasons)), 40
    frame = Frame.of(y, 5, seasons[0])
    other = y.copy()
    other[t + 1 :] = series(len(seasons), seed=9)[t + 1 :] * 100
    for of in (frame.inputs, frame.anchor):
        assert np.array_equal(of(y)[: t + 1], of(other)[: t + 1])
        assert np.array_equal(of(y)[: t + 1], of(y[: t + 1]))


@pytest.mark.parametrize("seasons", SEASONS, ids=str)
def test_a_new_network_says_the_anchor(seasons):
    y = series(len(seasons))
    found = Frame.of(y, 5, None)
    frame = Frame(5, seasons, *_shaped(found, seasons))
    model = new_network(settings(), seasons).eval()
    with torch.no_grad():
        said, _ = model(torch.from_numpy(frame.inputs(y))[None])
    assert np.array_equal(frame.forecasts(y, said[0].double().numpy()), frame.anchor(y))


def _shaped(frame, seasons):
    return frame.seasonal, frame.scale, np.ones(input_size(5, seasons))


@pytest.mark.parametrize("seasons", SEASONS, ids=str)
@pytest.mark.parametrize("horizon", [1, 3, 20])
def test_the_size_of_the_inputs(seasons, horizon):
    y = series(len(seasons))
    for season in set(seasons):
        frame = Frame.of(y, horizon, season)
        size = input_size(horizon, frame.seasons)
        assert frame.inputs(y).shape == (len(y), size)
        assert frame.inputs(y).dtype == np.float32
        assert frame.input_scale.shape == (size,)


def test_kept_and_taken_back():
    y = series(2)
    frame = Frame.of(y, 4, 6)
    again = Frame.from_dict(frame.as_dict(), 4, 2)
    assert np.array_equal(again.inputs(y), frame.inputs(y))
    assert np.array_equal(again.targets(y), frame.targets(y), equal_nan=True)
    with pytest.raises(ValueError, match="seasonal should be"):
        Frame.from_dict(frame.as_dict(), 5, 2)
