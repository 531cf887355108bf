"""Forecasts judged from a rolling origin: against plain loops, and nothing known too early."""

import math

import numpy as np
import pytest

from elman.tasks.forecast.judge import KEPT, evaluated, interval


def walk(T, C, seed=0):
    return np.random.default_rng(seed).standard_normal((T, C)).cumsum(0)


def by_loops(y, forecasts, seasons, first, known, nominal, step):
    """What `evaluated` should say, written down without arrays."""
    T, H, C = forecasts.shape
    mae, naive, seasonal, covered = (np.zeros((H, C)) for _ in range(4))
    origins = [t for t in range(first, T) if t + H < T]
    for h in range(1, H + 1):
        for c in range(C):
            for t in origins:
                error = abs(y[t + h, c] - forecasts[t, h - 1, c])
                mae[h - 1, c] += error
                naive[h - 1, c] += abs(y[t + h, c] - y[t, c])
                then = t + h
                while then > t:
                    then -= seasons[c]
                seasonal[h - 1, c] += abs(y[t + h, c] - y[then if then >= 0 else t, c])
                since = [
                    abs(y[s + h, c] - forecasts[s, h - 1, c])
                    for s in range(first, t)
                    if s + h <= t  # its time has come
                ]
                before = known[:, h - 1, c]
                errors = sorted([*before[~np.isnan(before)], *since[-KEPT:]])
                place = min(math.ceil((len(errors) + 1) * nominal - 1e-9), len(errors))
                half = errors[place - 1] if errors else math.inf
                covered[h - 1, c] += error <= half
    figures = [total / len(origins) for total in (mae, naive, seasonal, covered)]
    ours, theirs = figures[0].mean(0), [f.mean(0) for f in figures[1:3]]
    mase = np.mean(ours / step)
    skills = [np.mean(1 - ours / other) for other in (*theirs, np.minimum(*theirs))]
    return figures, mase, skills, origins


@pytest.mark.parametrize(
    ("T", "H", "C", "seasons", "first", "n"),
    [(40, 1, 1, [1], 10, 5), (40, 4, 1, [7], 20, 12), (50, 6, 2, [3, 1], 0, 9),
     (30, 5, 2, [4, 9], 24, 3), (25, 3, 1, [2], 9, 0)],
)  # fmt: skip
def test_against_plain_loops(T, H, C, seasons, first, n):
    rng = np.random.default_rng(1)
    y = walk(T, C)
    forecasts = y[:, None] + rng.standard_normal((T, H, C))
    known = np.abs(rng.standard_normal((n, H, C)))
    for k in range(min(n, H)):
        known[n - 1 - k, k + 1 :] = np.nan
    step = np.abs(np.diff(y, axis=0)).mean(0)
    found = evaluated(y, forecasts, seasons, first, known, 0.8, step)
    figures, mase, skills, origins = by_loops(y, forecasts, seasons, first, known, 0.8, step)
    for mine, wanted in zip(
        (found.mae, found.naive, found.seasonal, found.covered), figures, strict=True
    ):
        assert np.allclose(mine, wanted, rtol=1e-12)
    assert np.isclose(found.mase, mase, rtol=1e-12)
    assert np.allclose(
        [found.skill("naive"), found.skill("seasonal"), found.skill()], skills, rtol=1e-12
    )
    assert (found.first, found.last, found.origins) == (first, origins[-1], len(origins))
    assert np.isclose(found.coverage, figures[3].mean(), rtol=1e-12)


def test_only_the_last_of_many_residuals_count(monkeypatch):
    monkeypatch.setattr("elman.tasks.forecast.judge.KEPT", 7)
    monkeypatch.setitem(globals(), "KEPT", 7)
    y = walk(60, 1) * np.linspace(1, 9, 60)[:, None]
    forecasts = np.repeat(y[:, None], 3, axis=1)
    known = np.ones((4, 3, 1))
    found = evaluated(y, forecasts, [1], 5, known, 0.8, np.ones(1))
    figures, *_ = by_loops(y, forecasts, [1], 5, known, 0.8, np.ones(1))
    assert np.allclose(found.covered, figures[3], rtol=1e-12)


def test_one_origin_at_the_end():
    y = walk(20, 1)
    forecasts = np.repeat(y[:, None], 5, axis=1)
    found = evaluated(y, forecasts, [1], 14, np.ones((2, 5, 1)), 0.9, np.ones(1))
    assert (found.first, found.last, found.origins) == (14, 14, 1)
    assert np.allclose(found.mae[:, 0], np.abs(y[15:, 0] - y[14, 0]), rtol=1e-12)


@pytest.mark.parametrize(
    ("n", "nominal", "place"),
    [(1, 0.9, 1), (9, 0.9, 9), (19, 0.9, 18), (99, 0.9, 90), (10, 0.5, 6), (9, 0.5, 5),
     (8, 0.9, 8), (3, 0.01, 1), (99, 0.99, 99), (39, 0.95, 38)],
)  # fmt: skip
def test_the_quantile_by_hand(n, nominal, place):
    residuals = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))[:, None, None]
    assert interval(residuals, nominal).tolist() == [[float(place)]]
    holes = np.concatenate([residuals, np.full((5, 1, 1), np.nan)])
    assert interval(holes, nominal).tolist() == [[float(place)]]


def test_each_step_and_column_has_its_own():
    residuals = np.abs(np.random.default_rng(0).standard_normal((30, 3, 2)))
    residuals[10:, 2, 1] = np.nan
    found = interval(residuals, 0.9)
    for h in range(3):
        for c in range(2):
            alone = residuals[:, h, c][~np.isnan(residuals[:, h, c])][:, None, None]
            assert found[h, c] == interval(alone, 0.9)[0, 0]


def test_without_residuals_an_interval_has_no_end():
    assert interval(np.empty((0, 2, 1)), 0.9).tolist() == [[math.inf], [math.inf]]


@pytest.mark.parametrize("nominal", [0.5, 0.9])
@pytest.mark.parametrize("n", [19, 99])
def test_the_coverage_of_exchangeable_errors(n, nominal):
    """A new error lies in the interval with probability ⌈(n + 1) · nominal⌉ / (n + 1), exactly;
    five standard errors of the mean over the trials are allowed.
    """
    trials = 4000
    draws = np.abs(np.random.default_rng(5).standard_cauchy((n + 1, trials, 1)))
    share = (draws[n] <= interval(draws[:n], nominal)).mean()
    exact = math.ceil((n + 1) * nominal - 1e-9) / (n + 1)
    assert abs(share - exact) < 5 * math.sqrt(exact * (1 - exact) / trials)


def test_the_coverage_over_a_rolling_origin():
    """Of exchangeable errors the ranks of each among all before are independent, so the values
    held are independent too, each with the probability above; five standard errors.
    """
    n, origins, C = 20, 400, 8
    rng = np.random.default_rng(7)
    y = np.zeros((origins + 1, C))
    forecasts = rng.standard_normal((origins + 1, 1, C))
    known = np.abs(rng.standard_normal((n, 1, C)))
    found = evaluated(y, forecasts, [1] * C, 0, known, 0.9, np.ones(C))
    count = n + np.arange(origins)
    p = np.ceil((count + 1) * 0.9 - 1e-9) / (count + 1)
    error = math.sqrt((p * (1 - p)).sum() * C) / (origins * C)
    assert abs(found.coverage - p.mean()) < 5 * error


@pytest.mark.parametrize(
    ("mine", "theirs", "skill"),
    [(0.0, 0.0, 0.0), (0.0, 2.0, 1.0), (1.0, 2.0, 0.5), (2.0, 2.0, 0.0), (1.0, 0.0, -math.inf)],
)
def test_the_skill_where_the_other_errs_not_at_all(mine, theirs, skill):
    y = np.cumsum(np.full((20, 1), theirs), axis=0)
    forecasts = np.full((20, 1, 1), np.nan)
    forecasts[:-1, 0] = y[1:] + mine
    found = evaluated(y, forecasts, [1], 5, np.ones((1, 1, 1)), 0.9, np.array([theirs]))
    assert found.skill() == skill
    figures = found.as_dict()
    assert figures["skill"] == (skill if math.isfinite(skill) else None)
    assert figures["mase"] == (None if theirs == 0 else mine / theirs)


def test_mase_leaves_out_a_column_that_never_changed():
    y = np.stack([np.arange(20.0), np.full(20, 3.0)], axis=1)
    forecasts = y[:, None] + np.array([0.5, 0.0])
    found = evaluated(y, forecasts, [1, 1], 5, np.ones((1, 1, 2)), 0.9, np.array([1.0, 0.0]))
    assert found.mase == 0.5
    assert found.mases[0] == 0.5
    assert math.isnan(found.mases[1])
