"""`Forecaster` as others call it: arguments, lengths, scikit-learn, saving, resuming."""

from itertools import product

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from elman import Forecaster
from elman.data import read_series, read_table
from elman.errors import DataError, SettingError, TrainingError
from elman.tasks.forecast.files import train_on_series
from elman.tasks.forecast.inputs import as_series, least_rows

QUICK = {"horizon": 2, "epochs": 3, "hidden_size": 4, "chunk": 16, "lr": 0.01}


def wave(T=120, C=2, seed=0):
    noise = np.random.default_rng(seed).standard_normal((T, C)).cumsum(0)
    return 5 * np.sin(np.arange(T)[:, None] * 2 * np.pi / 9) + noise


@pytest.fixture(scope="module")
def fitted():
    model = Forecaster(**QUICK).fit(wave()[:90], columns=["a", "b"])
    model.widen(wave())
    return model


@pytest.fixture
def saved(fitted, tmp_path):
    return fitted.save(tmp_path / "run")


def bits(model):
    return {name: tensor.numpy().tobytes() for name, tensor in model.model_.state_dict().items()}


CASES = list(product((1, 3, 12), (1, 7, 40), (0.05, 0.15, 0.3, 0.9)))


@pytest.mark.parametrize(("horizon", "season", "validation"), CASES)
def test_the_length_it_asks_for_is_the_least(horizon, season, validation):
    least = least_rows(horizon, season, validation)
    y = wave(least, 1)
    model = Forecaster(horizon=horizon, season=season, validation=validation)
    model.set_params(epochs=1, hidden_size=2).fit(y)
    assert np.isfinite(model.predict_interval(y)).all()
    message = f"has {least - 1} rows to learn from; .* season of {season} at least {least} are"
    with pytest.raises(DataError, match=message):
        model.fit(y[1:])


@pytest.mark.parametrize(("horizon", "season", "validation"), CASES[::3])
@pytest.mark.parametrize("hold_out", [0.01, 0.2, 0.35, 0.9])
def test_the_whole_length_it_asks_for_is_the_least(tmp_path, horizon, season, validation, hold_out):
    def train(rows):
        path = tmp_path / "y.csv"
        path.write_text("y\n" + "\n".join(map(str, wave(rows, 1)[:, 0])) + "\n")
        model = Forecaster(horizon=horizon, season=season, validation=validation)
        model.set_params(epochs=1, hidden_size=2)
        return train_on_series(model, read_series(read_table(path), ["y"]), hold_out)

    with pytest.raises(DataError, match=r"y\.csv: has 5 rows, \d+ of them to") as told:
        train(5)
    whole = int(str(told.value).split("at least ")[1].split()[0])
    assert train(whole).evaluation.origins >= 1
    with pytest.raises(DataError, match=f"has {whole - 1} rows, .* at least {whole} in all"):
        train(whole - 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0, np.nan, 2.0], r"X\[1\] is \[nan\]; fill it in"), ([1, np.inf], r"X\[1\] is \[inf\]"),
     ([[1.0, 2.0], [3.0, -np.inf]], r"X\[1\] is \[3.0, -inf\]"), ([], "the shape"),
     (np.zeros((2, 2, 2)), r"the shape \(2, 2, 2\)"), ("abc", "X should be numbers"),
     (["a"], "X should be numbers"), ([[1.0], [1.0, 2.0]], "X should be numbers"),
     (3.0, "the shape"), ([1.0, 1e101], r"X\[1\] holds 1e\+101, above 1e\+100"),
     (np.zeros((5, 0)), r"the shape \(5, 0\)")],
    ids=str,
)  # fmt: skip
def test_what_is_no_series(fitted, values, message):
    for ask in (Forecaster().fit, fitted.predict, fitted.evaluate, fitted.forecasts, as_series):
        with pytest.raises(DataError, match=message):
            ask(values)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("horizon", 0), ("horizon", 2.0), ("season", 0), ("season", "7"), ("hidden_size", 0),
     ("num_layers", 0), ("nonlinearity", "gelu"), ("dropout", 1.0), ("init", "zeros"),
     ("chunk", 0), ("coverage", 1.0), ("coverage", 0.0), ("epochs", 0), ("batch_size", 0),
     ("lr", 0.0), ("weight_decay", -1.0), ("clip", 0.0), ("patience", 0), ("validation", 0.0),
     ("validation", 1.0), ("random_state", -1), ("device", "tpu"), ("horizon", True)],
)  # fmt: skip
def test_an_argument_out_of_range(name, wrong):
    with pytest.raises(SettingError, match=f"Forecaster: {name}: "):
        Forecaster(**{name: wrong}).fit(wave())
    with pytest.raises(SettingError, match=r"columns should be 2 names, got 1"):
        Forecaster().fit(wave(), columns=["a"])


OTHER = {
    "horizon": 3, "season": 4, "hidden_size": 5, "num_layers": 2, "nonlinearity": "relu",
    "init": "identity", "chunk": 5, "epochs": 1, "batch_size": 1, "lr": 0.002,
    "weight_decay": 0.5, "clip": 1e-3, "validation": 0.4, "random_state": 1,
    "leak": 0.5, "zoneout": 0.3, "recurrent_dropout": 0.3, "layer_norm": True,
}  # fmt: skip


@pytest.mark.parametrize("name", [*OTHER, "dropout", "patience", "coverage", "device"])
def test_every_argument_matters(name):
    y = np.random.default_rng(2).standard_normal((600, 1))
    base = QUICK | {"batch_size": 8, "chunk": 8, "epochs": 2, "season": 3}
    if name == "dropout":
        base, changed = base | {"num_layers": 2}, 0.5
    else:
        changed = {"patience": 1, "coverage": 0.5, "device": "cuda:99"}.get(name, OTHER.get(name))
    if name == "device":
        with pytest.raises(SettingError, match="cuda:99: torch sees"):
            Forecaster(**base | {name: changed}).fit(y)
        return
    if name == "patience":
        walk = np.random.default_rng(111).standard_normal(400).cumsum()[:320]
        model = Forecaster(horizon=5, patience=2, hidden_size=4).fit(walk)
        assert model.history_.epochs == model.history_.best_epoch + 2
        return
    one, other = (Forecaster(**settings).fit(y) for settings in (base, base | {name: changed}))
    if name == "coverage":
        ends = [model.predict_interval(y) for model in (one, other)]
        assert (ends[0][1] > ends[1][1]).all()
    else:
        assert bits(one) != bits(other)


def test_the_same_seed_the_same_bits(fitted):
    torch.manual_seed(99)
    again = Forecaster(**QUICK).fit(wave()[:90])
    assert bits(again) == bits(fitted)
    assert again.history_.records == fitted.history_.records
    before = torch.get_rng_state()
    Forecaster(**QUICK).fit(wave()[:90])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_without_bounds_says_what_to_change():
    settings = QUICK | {"lr": 1e30, "clip": 1e30, "nonlinearity": "identity", "epochs": 30}
    with pytest.raises(TrainingError, match=r"lower the learning rate \(it is 1e\+30\)"):
        Forecaster(**settings).fit(wave())


def test_saved_and_loaded(fitted, saved):
    y, again = wave(), Forecaster.load(saved)
    assert again.get_params() == fitted.get_params()
    assert again.columns_ == ["a", "b"]
    assert bits(again) == bits(fitted)
    assert np.array_equal(again.forecasts(y), fitted.forecasts(y))
    assert np.array_equal(again.predict_interval(y), fitted.predict_interval(y))
    assert np.array_equal(again.predict_interval(y, 0.5), fitted.predict_interval(y, 0.5))
    assert again.evaluate(y).as_dict() == fitted.evaluate(y).as_dict()
    assert again.has_learned(y)
    assert again.evaluate(y).first == 89
    other = wave(seed=4)
    assert again.evaluate(other).as_dict() == fitted.evaluate(other).as_dict()
    assert again.history_.records == fitted.history_.records
    twice = Forecaster.load(again.save(saved.with_name("twice")))
    assert np.array_equal(twice.predict_interval(y), fitted.predict_interval(y))
    assert "elman predict THIS_DIRECTORY FILE.csv\n" in (saved / "README.md").read_text("utf-8")


def test_as_scikit_learn_has_it(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "model_")
    assert repr(Forecaster(horizon=3)) == "Forecaster(horizon=3)"
    with pytest.raises(SettingError, match="no parameter 'steps'"):
        copy.set_params(steps=3)
    search = GridSearchCV(
        Forecaster(**QUICK), {"horizon": [1, 2]}, cv=TimeSeriesSplit(2), error_score="raise"
    )
    search.fit(wave(180))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(wave()).shape == (search.best_params_["horizon"], 2)
    pipeline = make_pipeline(StandardScaler(), Forecaster(**QUICK)).fit(wave()[:90])
    scaled = pipeline[0].transform(wave())
    assert np.array_equal(pipeline.predict(wave()), pipeline[1].predict(scaled))
    assert pipeline.score(wave()) == pipeline[1].score(scaled)


@pytest.mark.parametrize("stop_at", [1, 2, 7, 12])
def test_resumed_bit_for_bit(tmp_path, stop_at):
    settings = QUICK | {"batch_size": 2, "chunk": 4, "num_layers": 2, "dropout": 0.3}
    whole = Forecaster(**settings).fit(wave())
    steps = iter(range(1, 1000))
    place = tmp_path / "point.safetensors"
    part = Forecaster(**settings)
    part.fit(wave(), checkpoint=place, report=lambda _: next(steps) == stop_at)
    assert part.history_.interrupted
    rest = Forecaster(**settings).fit(wave(), checkpoint=place, resume=True)
    assert rest.history_.steps > 0
    assert bits(rest) == bits(whole)
    assert [r["valid_loss"] for r in rest.history_.records] == [
        r["valid_loss"] for r in whole.history_.records
    ]
    assert np.array_equal(rest.predict_interval(wave()), whole.predict_interval(wave()))
    with pytest.raises(SettingError, match="made with other data"):
        Forecaster(**settings).fit(wave()[1:], checkpoint=place, resume=True)
    with pytest.raises(SettingError, match="made with horizon 2, now it is 3"):
        Forecaster(**settings | {"horizon": 3}).fit(wave(), checkpoint=place, resume=True)
