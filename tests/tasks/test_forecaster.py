"""`Forecaster`: honest figures, nothing seen that was held out, the same bits again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from elman import Forecaster
from elman.data import read_series, read_table
from elman.errors import DataError, NotFittedError, SettingError
from elman.tasks.forecast.files import train_on_series
from elman.tasks.forecast.naive import naive

SUNSPOTS = Path(__file__).parents[2] / "examples" / "data" / "sunspots.csv"
QUICK = {"horizon": 3, "epochs": 8, "hidden_size": 8, "chunk": 16, "lr": 0.02}
SMALLEST = np.finfo(np.float32).eps


def wave(T=160, C=1, seed=0):
    """Seasons, and a noise that swings to and fro, so that there is something to learn."""
    t, noise = np.arange(T), np.random.default_rng(seed).standard_normal((T, C))
    for row in range(1, T):
        noise[row] -= 0.9 * noise[row - 1]
    seasons = np.array([8, 12, 6])[:C]
    y = 10 * np.sin(2 * np.pi * t[:, None] / seasons) + noise
    return y[:, 0] if C == 1 else y


@pytest.fixture(scope="module")
def two():
    """Of two columns with seasons of their own; tests must not change it."""
    return Forecaster(**QUICK).fit(wave(C=2)[:130])


def weights(model):
    return {name: tensor.clone() for name, tensor in model.model_.state_dict().items()}


def same(one, other):
    assert weights(one).keys() == weights(other).keys()
    assert all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())
    assert one.frame_.as_dict() == other.frame_.as_dict()


def test_it_found_the_seasons(two):
    assert two.frame_.seasons == [8, 12]
    assert two.history_.best_epoch > 0


def test_nothing_later_is_read(two):
    y = wave(C=2)
    whole = two.forecasts(y)
    for t in (0, 5, 12, 60, 129):
        other = y.copy()
        other[t + 1 :] = -3 * y[t + 1 :] + 100
        assert np.array_equal(two.forecasts(other)[: t + 1], whole[: t + 1])


def test_live_is_the_whole_run_row_by_row(two):
    y, live = wave(C=2), two.live()
    # float32 sums in another order, carried through a saturating state
    tolerance = {"rtol": 0, "atol": 100 * SMALLEST * float(two.frame_.scale.max())}
    for _ in range(2):
        for t, wanted in enumerate(two.forecasts(y)):
            assert np.allclose(live.step(y[t]), wanted, **tolerance), t
        live.reset()
    with pytest.raises(DataError, match="2 finite numbers"):
        live.step([1.0])
    with pytest.raises(DataError, match=r"2 finite numbers, got 'x'"):
        live.step("x")
    with pytest.raises(DataError, match=r"2 finite numbers, got .*nan"):
        live.step([1.0, np.nan])
    assert np.allclose(live.step(y[0]), two.forecasts(y)[0], **tolerance)  # nothing was taken


def test_predict_is_the_last_forecast(two):
    y = wave(C=2)
    for end in (13, 40, 160):
        assert np.array_equal(two.predict(y[:end]), two.forecasts(y[:end])[-1])
    one = Forecaster(**QUICK).fit(wave()[:130])
    assert one.predict(wave()).shape == (3,)
    assert np.array_equal(one.predict(wave()[:, None])[:, 0], one.predict(wave()))
    with pytest.raises(DataError, match=r"has 12 rows; .* at least 13 are needed"):
        two.predict(y[:12])
    with pytest.raises(DataError, match="2 columns as in training, got 1"):
        two.predict(wave())


def test_an_interval_is_the_quantile_of_the_residuals(two):
    y = wave(C=2)
    lower, upper = two.predict_interval(y, coverage=0.8)
    found = two.forecasts(y[:130])
    fitted = 130 - 20  # 15 in 100, rounded up
    for h in range(1, 4):
        for c in range(2):
            errors = sorted(
                abs(y[t + h, c] - found[t, h - 1, c]) for t in range(fitted - 1, 130 - h)
            )
            half = errors[int(np.ceil((len(errors) + 1) * 0.8 - 1e-9)) - 1]
            place = h - 1, c
            assert np.isclose(upper[place] - lower[place], 2 * half, rtol=1e-5)
            assert np.isclose(upper[place] + lower[place], 2 * two.predict(y)[place], rtol=1e-5)
    wide = two.predict_interval(y, coverage=0.99)
    assert (wide[1] - wide[0] >= upper - lower).all()
    for wrong in (0.0, 1.0, -1.0, 2.0):
        with pytest.raises(SettingError, match="between 0 and 1"):
            two.predict_interval(y, coverage=wrong)


def test_evaluated_from_the_last_row_learned_from(two):
    y = wave(C=2)
    found = two.evaluate(y)
    assert (found.first, found.last) == (129, 156)
    forecasts = two.forecasts(y)
    for h in range(1, 4):
        errors = [np.abs(y[t + h] - forecasts[t, h - 1]) for t in range(129, 157)]
        assert np.allclose(found.mae[h - 1], np.mean(errors, axis=0), rtol=1e-12)
    assert np.allclose(found.step, np.abs(np.diff(y[:130], axis=0)).mean(0), rtol=1e-12)
    assert two.score(y) == found.skill()
    assert two.evaluate(y[:133]).origins == 1
    with pytest.raises(DataError, match=r"begins with the 130 rows .* at least 133 are needed"):
        two.evaluate(y[:132])


def test_another_series_is_judged_from_where_a_forecast_can_be_made(two):
    y = wave(C=2, seed=9)
    assert not two.has_learned(y)
    assert two.evaluate(y).first == two.frame_.memory == 12
    assert two.evaluate(y[:16]).origins == 1
    with pytest.raises(DataError, match=r"^the series has 15 rows; .* at least 16 are needed"):
        two.evaluate(y[:15])
    changed = wave(C=2)
    changed[0, 0] += 1e-9
    assert not two.has_learned(changed)


def table(path, y):
    rows = "".join(",".join(map(repr, row)) + "\n" for row in np.atleast_2d(y.T).T.tolist())
    names = ",".join(f"y{k}" for k in range(np.atleast_2d(y.T).shape[0]))
    path.write_text(f"{names}\n{rows}")
    return read_series(read_table(path), names.split(","))


def test_what_is_held_out_changes_nothing_learned(tmp_path):
    y = wave(C=2)
    other = y.copy()
    other[128:] = 1e3 * np.random.default_rng(5).standard_normal((32, 2))
    models = [Forecaster(**QUICK) for _ in range(2)]
    outcomes = [
        train_on_series(model, table(tmp_path / f"{k}.csv", series), 0.2)
        for k, (model, series) in enumerate(zip(models, (y, other), strict=True))
    ]
    same(*models)
    assert models[0].history_.best_epoch > 0  # else nothing is shown
    assert np.array_equal(models[0].residuals_, models[1].residuals_, equal_nan=True)
    assert models[0].history_.records == models[1].history_.records
    assert models[0].learned_ == models[1].learned_
    assert outcomes[0].evaluation.first == 127
    assert (outcomes[0].seen, outcomes[0].unseen) == ("rows 1 to 128", "rows 129 to 160")
    assert not np.array_equal(models[0].later_, models[1].later_, equal_nan=True)
    # judged before the intervals were widened by the rows they are judged on
    again = models[0].evaluate(y)
    assert np.array_equal(again.covered, outcomes[0].evaluation.covered)
    assert again.as_dict() == outcomes[0].evaluation.as_dict()


def test_the_rows_that_stop_teach_nothing():
    y = wave()[:130]
    other = y.copy()
    other[110:] = y[110:] * 1.05
    models = [Forecaster(**QUICK | {"epochs": 1}).fit(series) for series in (y, other)]
    assert [model.history_.best_epoch for model in models] == [1, 1]  # else nothing is shown
    same(*models)


def test_widened_by_each_residual_once(two):
    y = wave(C=2)
    model = Forecaster(**QUICK).fit(y[:130])
    model.widen(wave(C=2, seed=3))
    assert len(model.later_) == 0
    model.widen(y)
    forecasts = model.forecasts(y)
    for h in range(1, 4):
        both = np.concatenate([model.residuals_, model.later_])[:, h - 1, 0]
        wanted = [abs(y[t + h, 0] - forecasts[t, h - 1, 0]) for t in range(109, 160 - h)]
        assert np.allclose(sorted(both[~np.isnan(both)]), sorted(wanted), rtol=1e-5)


@pytest.mark.parametrize("horizon", [1, 11])
@pytest.mark.parametrize("seed", range(5))
def test_sunspots_are_foretold_better_than_without_learning(horizon, seed):
    """Without a single seed's luck; the default settings, held out as the command does."""
    numbers = np.loadtxt(SUNSPOTS, delimiter=",", skiprows=1)[:, 1]
    model = Forecaster(horizon=horizon, random_state=seed).fit(numbers[:247])
    found = model.evaluate(numbers)
    assert found.skill() > 0
    assert found.skill() == min(found.skill("naive"), found.skill("seasonal"))
    assert found.first == 246


@pytest.mark.parametrize("seed", [103, 108, 111])
def test_a_walk_that_nothing_foretells_is_left_to_the_naive_forecast(seed):
    walk = np.random.default_rng(seed).standard_normal(400).cumsum()
    model = Forecaster(horizon=5).fit(walk[:320])
    assert model.history_.best_epoch == 0
    assert model.evaluate(walk).skill() == 0.0
    assert np.array_equal(model.forecasts(walk), naive(walk[:, None], 5))


@pytest.mark.parametrize("value", [5.0, 0.0, -1e12, 1e-12])
def test_a_constant_stays(value):
    model = Forecaster(**QUICK).fit(np.full(100, value))
    assert model.predict(np.full(20, value)).tolist() == [value] * 3
    assert [e.tolist() for e in model.predict_interval(np.full(20, value))] == [[value] * 3] * 2
    found = model.evaluate(np.full(120, value))
    assert (found.skill(), found.coverage, found.as_dict()["mase"]) == (0.0, 1.0, None)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_unit_does_not_matter(unit):
    plain, scaled = (Forecaster(**QUICK).fit(wave()[:130] * u) for u in (1, unit))
    assert scaled.frame_.seasons == plain.frame_.seasons == [8]
    assert scaled.history_.best_epoch == plain.history_.best_epoch > 0
    # inputs differ in the last bit of float32, weights after a few steps by a little more
    assert np.isclose(scaled.score(wave() * unit), plain.score(wave()), atol=1e-3)


@pytest.mark.parametrize("kind", [np.int16, np.float32, list])
def test_other_numbers(kind):
    y = np.rint(wave())
    given = y.tolist() if kind is list else y.astype(kind)
    same(Forecaster(**QUICK).fit(given), Forecaster(**QUICK).fit(y))


def test_a_long_series_and_a_long_horizon():
    y = wave(T=5000)
    model = Forecaster(horizon=2, epochs=2).fit(y[:4000])
    assert len(model.residuals_) == 502
    assert (~np.isnan(model.residuals_)).sum(0).min() == 500
    assert model.score(y) > 0
    far = Forecaster(horizon=600, season=7, epochs=1, hidden_size=2).fit(y)
    lower, upper = far.predict_interval(y)
    assert np.isfinite([lower, upper]).all()


def test_not_fitted():
    for ask in ("predict", "forecasts", "evaluate", "predict_interval", "save"):
        with pytest.raises(NotFittedError, match="this Forecaster knows nothing yet"):
            getattr(Forecaster(), ask)(wave())
