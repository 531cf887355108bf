"""Classifier on sequences of numbers: any container, any length, scaled, and back from disk."""

import json

import numpy as np
import pytest

import elman
from elman import Classifier
from elman.errors import DataError, ElmanError

QUICK = {"hidden_size": 8, "epochs": 4, "lr": 0.02, "validation": 0.2}


def waves(number=48, features=1, seed=0):
    """Slow ones and fast ones, of many lengths, on a level far from 0."""
    rng = np.random.default_rng(seed)
    X, y = [], []
    for k in range(number):
        steps = np.arange(rng.integers(8, 14))[:, None] + rng.uniform(0, 9)
        pace = (0.4, 1.6)[k % 2]
        X.append(5000 + 30 * np.sin(pace * steps + np.arange(features)))
        y.append(("slow", "fast")[k % 2])
    return X, y


@pytest.fixture(scope="module")
def fitted():
    return Classifier(**QUICK).fit(*waves())


def test_it_tells_slow_from_fast():
    model = Classifier(hidden_size=24, epochs=40, lr=0.01, patience=40).fit(*waves(96))
    asked, truth = waves(40, seed=1)
    assert model.score(asked, truth) >= 0.9
    assert model.describe() == "numbers → RNN 24 (tanh)"


@pytest.mark.parametrize("features", [1, 3])
def test_what_holds_the_numbers_does_not_matter(features, tmp_path):
    rng = np.random.default_rng(0)
    array = rng.normal(size=(30, 6, features))
    labels = [int(rows[0, 0] > rows[-1, 0]) for rows in array]
    forms = [
        array,
        array.astype(object).tolist(),
        list(array),
        [rows.tolist() for rows in array],
        [[tuple(step) for step in rows] for rows in array],
    ]
    if features == 1:
        forms += [array[:, :, 0], array[:, :, 0].tolist(), list(array[:, :, 0])]
    answers = [Classifier(**QUICK).fit(X, labels).predict_proba(X) for X in forms]
    assert all((answer == answers[0]).all() for answer in answers)
    model = Classifier(**QUICK).fit(array, np.array(labels))
    assert all((model.predict_proba(X) == answers[0]).all() for X in forms)
    assert model.predict(array).dtype == np.int64


def test_whole_numbers_and_float32():
    rows = [[1, 2, 3], [3, 2, 1], [4, 7], [7, 4], [2, 9, 9], [9, 9, 2]]
    labels = list("uduudd")[:6]
    one = Classifier(**QUICK).fit(rows, labels).predict_proba(rows)
    for kind in (np.int16, np.float32):
        X = [np.array(row, dtype=kind) for row in rows]
        assert (Classifier(**QUICK).fit(X, labels).predict_proba(X) == one).all()


def test_each_is_answered_alone_and_in_its_place(fitted):
    asked, _ = waves(30, seed=2)
    asked.append(np.full((1, 1), 5000.0))
    together = fitted.predict_proba(asked)
    for k in (0, 7, 29, 30):
        assert together[k] == pytest.approx(fitted.predict_proba([asked[k]])[0], abs=1e-6)
    assert len({tuple(row) for row in together.round(9).tolist()}) > 25
    assert fitted.predict([]).tolist() == []


def test_numbers_are_scaled_by_those_learned_from():
    """So the unit they are in makes no difference, nor does a number that never changes."""
    X, y = waves(features=2)
    for rows in X:
        rows[:, 1] = 0.1
    model = Classifier(**QUICK).fit(X, y)
    in_other_units = [rows * [1024.0, 1.0] for rows in X]
    other = Classifier(**QUICK).fit(in_other_units, y)
    assert np.allclose(other.predict_proba(in_other_units), model.predict_proba(X), atol=1e-5)
    assert model.reader_.scale[1] == 1.0
    assert model.reader_.mean[1] == pytest.approx(0.1)
    assert model.reader_.mean[0] == pytest.approx(5000, abs=10)


def test_it_is_saved_and_loaded(fitted, tmp_path):
    asked, _ = waves(10, seed=3)
    saved = fitted.save(tmp_path / "run")
    assert {path.name for path in saved.iterdir()} == {
        "README.md", "config.json", "metrics.jsonl", "model.safetensors", "report.html",
        "report.json", "scaling.json",
    }  # fmt: skip
    page = (saved / "README.md").read_text("utf-8")
    assert "Reads sequences of numbers and answers `fast` or `slow`" in page
    assert "FILE.csv --sequence COLUMN" in page
    for load in (Classifier.load, elman.load):
        loaded = load(saved)
        assert isinstance(loaded, Classifier)
        assert (loaded.predict_proba(asked) == fitted.predict_proba(asked)).all()
        assert loaded.describe() == fitted.describe()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(scale=[0.0]), lambda d: d.update(mean=[float("nan")]),
        lambda d: d.update(scale=[1.0, 1.0]), lambda d: d.pop("mean"), lambda d: d.update(mean="x"),
        lambda d: d.update(mean=[], scale=[]), lambda d: d.update(mean=[0.0]),
    ],
)  # fmt: skip
def test_a_damaged_scale(fitted, tmp_path, change):
    saved = fitted.save(tmp_path / "run")
    document = json.loads((saved / "scaling.json").read_text())
    change(document)
    (saved / "scaling.json").write_text(json.dumps(document))
    with pytest.raises(ElmanError, match=r"scaling\.json: damaged: (it should hold|its SHA-256)"):
        Classifier.load(saved)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, 2.0], []], r"X\[1\] should be numbers, .* with L at least 1, got the shape \(0,\)"),
        ([[1.0], "text"], r"X\[1\] should be numbers, .* got 'text'"),
        ([[1.0], None], r"X\[1\] should be numbers"),
        ([np.full((3, 768), np.nan)], r"X\[0\] holds nan in place 1 of 768 at step 0; fill it in"),
        ([[1.0], [None]], r"X\[1\] holds \[nan\] at step 0; fill it in"),
        ([[1.0], [2.0, float("inf")]], r"X\[1\] holds \[inf\] at step 1; fill it in"),
        ([[1.0], [[1.0, 2.0]]], r"X\[1\] should have 1 numbers at each step, got 2"),
        ([[1.0], [[1.0], [2.0, 3.0]]], r"X\[1\] should be numbers"),
        ([[[[1.0]]], [[[1.0]]]], r"X\[0\] should be numbers, .* got the shape \(1, 1, 1\)"),
        (["text", [1.0]], r"X\[1\] should be a text, got list"),
    ],
)
def test_rows_that_cannot_be_read(fitted, X, message):
    with pytest.raises(DataError, match=message):
        Classifier().fit(X, ["a", "b"])
    with pytest.raises(DataError, match=r"X\[[01]\] "):
        fitted.predict(X)


def test_another_kind_than_was_learned_from(fitted):
    with pytest.raises(DataError, match=r"X\[0\] should be numbers, .* got 'text'"):
        fitted.predict(["text"])
    with pytest.raises(DataError, match=r"X\[0\] should have 1 numbers at each step, got 2"):
        fitted.predict([[[1.0, 2.0]]])


def test_equal_sequences_are_held_out_together(monkeypatch):
    from elman.tasks.classify import classifier

    parts = []

    def listening(*arguments):
        parts.append(split(*arguments))
        return parts[-1]

    split = classifier.grouped_split
    monkeypatch.setattr(classifier, "grouped_split", listening)
    X, y = waves(20)
    Classifier(**(QUICK | {"epochs": 1})).fit(X * 3, y * 3)
    stay, held = ({i % 20 for i in part} for part in parts[0])
    assert held
    assert not stay & held


def test_scikit_learn_takes_sequences_too():
    model_selection = pytest.importorskip("sklearn.model_selection")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    array = np.random.default_rng(0).normal(size=(60, 3))
    labels = (array[:, 2] > 0).astype(int)
    lists = [row[k % 3 :].tolist() for k, row in enumerate(array)]  # of several lengths
    model = Classifier(**(QUICK | {"epochs": 20, "dropout": 0.0}))
    scaler = preprocessing.FunctionTransformer(lambda X: np.asarray(X) * 2)
    chain = pipeline.Pipeline([("double", scaler), ("classifier", model)])
    for estimator, X in (
        (model, array),
        (chain, array),
        (model, array[:, :, None]),
        (model, lists),
    ):
        scores = model_selection.cross_val_score(estimator, X, labels, cv=2, error_score="raise")
        assert (scores > 0.7).all()
    grid = {"classifier__hidden_size": [4, 8]}
    search = model_selection.GridSearchCV(chain, grid, cv=2, error_score="raise")
    best = search.fit(array, labels).best_estimator_
    assert best.named_steps["classifier"].settings_.hidden_size in (4, 8)
    assert search.score(array, labels) == np.mean(best.predict(array) == labels)
