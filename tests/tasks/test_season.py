"""The season of a series: found where there is one, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest

from elman.tasks.forecast.season import autocorrelation, find_season

SUNSPOTS = Path(__file__).parents[2] / "examples" / "data" / "sunspots.csv"
STEPS = np.arange(240.0)


@pytest.mark.parametrize("m", [3, 4, 7, 12, 24, 52])
def test_a_sine_with_a_trend_and_noise(m):
    noise = np.random.default_rng(m).standard_normal(len(STEPS))
    wave = np.sin(2 * np.pi * STEPS / m)
    assert find_season(wave) == m
    assert find_season(wave + 0.05 * STEPS) == m
    assert find_season(wave + 0.2 * noise) == m


@pytest.mark.parametrize("m", [2, 5, 13])
def test_a_pattern_that_is_no_sine(m):
    pattern = np.random.default_rng(3).standard_normal(m)
    assert find_season(np.resize(pattern, 200)) == m


@pytest.mark.parametrize("unit", [1e-300, 1e-12, 1e-3, 1e12, 1e90])
def test_the_unit_does_not_matter(unit):
    wave = np.sin(2 * np.pi * STEPS / 12) + 0.02 * STEPS
    assert find_season(unit * wave) == 12
    assert find_season(unit * (wave + 1000)) == 12


@pytest.mark.parametrize(
    "series",
    [STEPS, -3 * STEPS, STEPS**2, np.exp(STEPS / 50), np.full(240, 7.3), np.zeros(240),
     np.cumsum(np.full(240, 0.1)), (STEPS > 120) * 1.0, (STEPS == 100) * 1.0],
    ids=["up", "down", "parabola", "growth", "constant", "zero", "rounded", "step", "spike"],
)  # fmt: skip
def test_what_has_none(series):
    assert find_season(series) == 1


def test_noise_and_walks_rarely_seem_to_have_one():
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((100, 300))
    assert [find_season(x) for x in draws] == [1] * 100  # 0.3 is five standard errors
    walks = [find_season(x.cumsum()) for x in draws]
    assert walks.count(1) >= 90


def test_too_short_to_tell():
    assert [find_season(np.sin(np.arange(T) * 2.1)) for T in range(1, 9)] == [1] * 8


def test_sunspots():
    numbers = np.loadtxt(SUNSPOTS, delimiter=",", skiprows=1)[:, 1]
    assert find_season(numbers[:209]) == 11  # what `elman train forecast` fits to
    assert {find_season(numbers[:T]) for T in range(60, len(numbers))} == {10, 11}


def test_the_autocorrelation_is_that_of_the_definition():
    x = np.random.default_rng(1).standard_normal(40)
    centred, found = x - x.mean(), autocorrelation(x, 20)
    for k in range(21):
        pairs = [centred[t] * centred[t + k] for t in range(40 - k)]
        assert np.isclose(found[k], sum(pairs) / sum(c * c for c in centred), rtol=1e-12)
