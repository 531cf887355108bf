"""`random_state=None` draws a seed, which is kept with what was fitted."""

import pytest
import torch

from elman import Classifier

TEXTS, LABELS = [f"{k:05b}" for k in range(32)], [k % 2 for k in range(32)]
SMALL = {"epochs": 1, "hidden_size": 4, "embedding_size": 4, "validation": 0.2}


def test_each_fit_draws_its_own():
    fitted = [Classifier(random_state=None, **SMALL).fit(TEXTS, LABELS) for _ in range(2)]
    seeds = [model.settings_.random_state for model in fitted]
    assert seeds[0] != seeds[1]
    assert fitted[0].get_params()["random_state"] is None
    again = Classifier(random_state=seeds[0], **SMALL).fit(TEXTS, LABELS)
    mine, theirs = again.model_.state_dict(), fitted[0].model_.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_the_seed_drawn_is_saved(tmp_path):
    model = Classifier(random_state=None, **SMALL).fit(TEXTS, LABELS)
    loaded = Classifier.load(model.save(tmp_path / "run"))
    assert loaded.settings_.random_state == model.settings_.random_state
    assert loaded.predict_proba(TEXTS) == pytest.approx(model.predict_proba(TEXTS), abs=0)
