"""Runs that the first version wrote are read, answer as they did, and are saved in today's form."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import elman
from elman import Classifier
from elman.errors import RunDirectoryError
from elman.tasks.config import FORMAT_VERSION

FIRST = Path(__file__).parent / "format_1"
# what that version said of these two texts
ANSWERS = {
    "头痛发": [0.3703388575822031, 0.6296611424177969],
    "abc": [0.6758403268362585, 0.32415967316374145],
}


@pytest.fixture
def first(tmp_path):
    return shutil.copytree(FIRST, tmp_path / "first")


@pytest.mark.parametrize("load", [Classifier.load, elman.load])
def test_a_run_of_format_1_answers_as_it_did(first, contents, load):
    before = contents(first)
    model = load(first)
    assert isinstance(model, Classifier)
    assert model.predict_proba(list(ANSWERS)) == pytest.approx(
        np.array([*ANSWERS.values()]), abs=1e-6
    )
    assert model.predict(list(ANSWERS)).tolist() == ["rise", "fall"]
    assert (model.level, model.encoder, model.init, model.device) == (
        "char", None, "orthogonal", "cpu",
    )  # fmt: skip
    assert len(model.history_.records) == 3
    assert contents(first) == before


def test_it_is_saved_again_in_todays_format(first, tmp_path):
    model = Classifier.load(first)
    again = model.save(tmp_path / "again")
    config = json.loads((again / "config.json").read_text("utf-8"))
    assert config["format_version"] == FORMAT_VERSION == 2
    assert config["settings"] == model.get_params()
    assert config["reader"] == {"kind": "text"}
    loaded = Classifier.load(again)
    assert (loaded.predict_proba(list(ANSWERS)) == model.predict_proba(list(ANSWERS))).all()
    for name in ("metrics.jsonl", "vocab.json", "model.safetensors"):
        old, new = ((folder / name).read_bytes() for folder in (first, again))
        assert old == new, name
    assert model.save(first) == first  # in its own place: the old one is moved aside
    assert (tmp_path / "first.bak-1" / "README.md").read_bytes() == (
        FIRST / "README.md"
    ).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": None}, r"config\.json: damaged: settings"),
        ({"settings": {"hidden_size": "4"}}, r"config\.json: damaged: .*hidden_size"),
        ({"classes": 3}, r"config\.json: damaged: classes"),
        ({"task": "tag"}, "a run of the task 'tag', 'classify' is needed"),
        ({"format_version": "1"}, r"config\.json: damaged: "),
        ({"format_version": 0}, r"config\.json: damaged: "),
    ],
    ids=str,
)
def test_a_damaged_one(first, change, message):
    config = json.loads((first / "config.json").read_text("utf-8"))
    (first / "config.json").write_text(json.dumps(config | change), "utf-8")
    with pytest.raises(RunDirectoryError, match=message):
        Classifier.load(first)


def test_a_task_that_no_elman_knows(first):
    config = json.loads((first / "config.json").read_text("utf-8"))
    (first / "config.json").write_text(json.dumps(config | {"task": "sing"}), "utf-8")
    with pytest.raises(RunDirectoryError, match=r"config\.json: damaged: task 'sing' is none of "):
        elman.load(first)
