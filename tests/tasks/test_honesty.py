"""What is said of a model is true of that model, and no score rests on a leak."""

import random

import numpy as np
import pytest
import torch

from elman import Classifier
from elman.data import read_table
from elman.tasks.classify.files import Columns, train_on_table
from elman.tasks.config import About, DataFacts


def test_equal_texts_stay_together_whatever_the_groups(tmp_path):
    """Labels by the toss of a coin: only a text seen in training can be answered above chance."""
    rng = random.Random(0)
    texts = ["".join(rng.choices("甲乙丙丁戊己庚辛", k=6)) for _ in range(60)]
    rows = [(text, rng.choice("ab"), k) for k, text in enumerate(texts)]
    rows = [(text, label, f"{k}-{copy}") for copy in range(4) for text, label, k in rows]
    path = tmp_path / "coins.csv"
    path.write_text("text,label,id\n" + "".join(f"{t},{y},{g}\n" for t, y, g in rows), "utf-8")
    model = Classifier(epochs=40, patience=40, hidden_size=32, lr=0.01, token_dropout=0.0)
    outcome = train_on_table(model, read_table(path), Columns("text", "label", "id"), 0.2)
    # 4 copies of about 12 texts: right on 12 of 12 by chance is 1 in 4,096
    assert outcome.report.accuracy < 0.95
    seen = set(texts) - set(outcome.held_out.inputs)
    assert len(set(outcome.held_out.inputs)) * 4 == len(outcome.held_out.inputs)
    assert len(seen) + len(set(outcome.held_out.inputs)) == 60


def test_a_refitted_model_forgets_what_was_said_of_the_old_one(data, small):
    model = Classifier(**small).fit(*data)
    model.about = About(data=DataFacts(file="old.csv", sha256="0" * 64, rows=5))
    model.fit(*data)
    assert model.about == About()


def test_what_is_saved_is_what_was_fitted(data, small, tmp_path):
    model = Classifier(**small).fit(*data)
    answers = model.predict_proba(data[0])
    model.set_params(hidden_size=16, num_layers=2)
    loaded = Classifier.load(model.save(tmp_path / "run"))
    assert np.array_equal(loaded.predict_proba(data[0]), answers)
    assert loaded.hidden_size == small["hidden_size"]
    assert "2 layers" not in (tmp_path / "run" / "README.md").read_text("utf-8")


def test_the_readme_says_a_command_that_works(data, small, tmp_path):
    page = (Classifier(**small).fit(*data).save(tmp_path / "run") / "README.md").read_text("utf-8")
    assert "elman predict THIS_DIRECTORY FILE.csv --text COLUMN\n" in page
    assert f"Seed 0; elman {__import__('elman').__version__}, torch {torch.__version__}" in page


def test_the_callers_torch_does_not_matter_and_is_left_alone(data, small, tmp_path, monkeypatch):
    expected = Classifier(**small).fit(*data)
    saved = expected.save(tmp_path / "run")
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda _: pytest.fail("seeded the GPU"))
    state = torch.random.get_rng_state()
    with torch.no_grad():
        again = Classifier(**small).fit(*data)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(again.predict_proba(data[0]), expected.predict_proba(data[0]))
    torch.set_default_dtype(torch.float64)
    try:
        loaded = Classifier.load(saved)
        assert Classifier(**small).fit(*data).model_.linear.weight.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.array_equal(loaded.predict_proba(data[0]), expected.predict_proba(data[0]))


def test_a_run_put_in_place_while_loading_is_read_again(saved, fitted, monkeypatch):
    """Another process replaces the run after config.json was read."""
    read, replaced = Classifier._load.__func__, []

    def slowly(cls, path):
        if not replaced:
            replaced.append(fitted.save(path))
            (path / "model.safetensors").rename(path / "away")
            fitted.save(path)
            raise_for_the_old(path)
        return read(cls, path)

    def raise_for_the_old(path):
        from elman.tasks.rundir import damaged

        raise damaged(path / "model.safetensors", "it is of the run that was there before")

    monkeypatch.setattr(Classifier, "_load", classmethod(slowly))
    loaded = Classifier.load(saved)
    assert np.array_equal(loaded.classes_, fitted.classes_)


def test_scikit_learn_takes_it(data, small):
    model_selection = pytest.importorskip("sklearn.model_selection")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    base = pytest.importorskip("sklearn.base")
    texts, labels = data
    model = Classifier(**small)
    assert base.is_classifier(model)
    assert base.clone(model).get_params() == model.get_params()
    same = preprocessing.FunctionTransformer(lambda texts: list(texts))
    chain = pipeline.Pipeline([("same", same), ("classifier", model)])
    for estimator in (model, chain):
        scores = model_selection.cross_val_score(estimator, texts, labels, cv=2)
        assert np.isfinite(scores).all()
    search = model_selection.GridSearchCV(model, {"hidden_size": np.array([4, 8])}, cv=2)
    best = search.fit(texts, labels).best_estimator_
    assert best.settings_.hidden_size in (4, 8)
    assert best.score(texts, labels) == np.mean(best.predict(texts) == np.array(labels))
