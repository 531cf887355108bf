"""A run directory: saved, loaded, moved aside, and never written over anything else."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from elman import Classifier
from elman.errors import RunDirectoryError
from elman.tasks.newrun import new_run

FILES = [
    "README.md", "config.json", "metrics.jsonl", "model.safetensors", "report.html", "report.json",
    "vocab.json",
]  # fmt: skip


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_what_is_saved_is_what_is_loaded(fitted, saved, data):
    loaded = Classifier.load(saved)
    asked = [*data[0], "", "全新"]
    assert (loaded.predict_proba(asked) == fitted.predict_proba(asked)).all()
    assert loaded.predict(asked).tolist() == fitted.predict(asked).tolist()
    assert loaded.get_params() == fitted.get_params()
    assert loaded.history_.records == fitted.history_.records
    assert loaded.about == fitted.about
    assert not loaded.model_.training


def test_loading_in_another_process(fitted, saved, data):
    code = (
        "import sys, json; from elman import Classifier; "
        "print(json.dumps(Classifier.load(sys.argv[1]).predict_proba(json.load(sys.stdin)).tolist()))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(saved)],
        input=json.dumps(data[0]), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(child.stdout) == fitted.predict_proba(data[0]).tolist()


def test_the_seven_files(saved, fitted, contents):
    assert names(saved) == FILES
    assert names(saved.parent) == ["run"]
    config = json.loads((saved / "config.json").read_text("utf-8"))
    assert config["format"] == "elman run"
    assert config["format_version"] == 2
    assert config["task"] == "classify"
    assert config["settings"] == fitted.get_params()
    assert config["classes"] == ["fall", "rise"]
    assert config["versions"].keys() == {"elman", "torch", "python"}
    vocabulary = json.loads((saved / "vocab.json").read_text("utf-8"))
    assert vocabulary == {"tokens": fitted.reader_.vocabulary.tokens}
    lines = (saved / "metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == fitted.history_.records
    weights = load_file(saved / "model.safetensors")
    state = fitted.model_.state_dict()
    assert weights.keys() == state.keys()
    assert all((weights[name] == state[name].numpy()).all() for name in state)
    readme = (saved / "README.md").read_text("utf-8")
    assert "`fall` or `rise`" in readme
    assert fitted.describe() in readme
    for name, content in contents(saved).items():
        assert b"pickle" not in content, name
        assert not content.startswith((b"\x80", b"PK")), name  # a pickle's or a zip's first bytes


def test_a_saved_run_is_saved_again_as_it_is(saved, tmp_path, contents):
    again = Classifier.load(saved).save(tmp_path / "again")
    assert contents(again) == contents(saved)


def test_facts_of_ones_own_are_kept(data, small, tmp_path):
    model = Classifier(**(small | {"epochs": 1})).fit(*data)
    model.about.command = "by hand"
    model.about.reviewer = {"name": "李"}  # not a field of its own
    loaded = Classifier.load(model.save(tmp_path / "run"))
    assert loaded.about.command == "by hand"
    assert loaded.about.reviewer == {"name": "李"}


def test_only_predict_is_needed_after_moving_the_directory(saved, tmp_path, fitted):
    moved = saved.rename(tmp_path / "elsewhere")
    for name in ("README.md", "metrics.jsonl", "report.html", "report.json"):
        (moved / name).unlink()
    loaded = Classifier.load(moved)
    assert (loaded.predict_proba(["头痛发"]) == fitted.predict_proba(["头痛发"])).all()


def test_an_older_run_is_moved_aside(saved, fitted, tmp_path, contents):
    (saved / "note.txt").write_text("mine")
    first = contents(saved)
    assert fitted.save(saved) == saved
    assert names(tmp_path) == ["run", "run.bak-1"]
    second = contents(saved)
    fitted.save(saved)
    assert names(tmp_path) == ["run", "run.bak-1", "run.bak-2"]
    assert contents(tmp_path / "run.bak-1") == first
    assert contents(tmp_path / "run.bak-2") == second
    assert names(saved) == FILES


def test_a_new_place_is_made(fitted, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for place in ("deep/er/run", "empty", "名字 with spaces", tmp_path / "absolute"):
        saved = fitted.save(place)
        assert names(saved) == FILES
        Classifier.load(place)
    assert names(tmp_path) == sorted(["absolute", "deep", "empty", "名字 with spaces"])


def foreign(kind, place):
    if kind == "a file":
        place.write_text("a letter")
        return
    if kind == "a dangling link":
        place.symlink_to("nowhere")
        return
    place.mkdir()
    (place / "thesis.txt").write_text("ten years of work")
    if kind == "another program's config":
        (place / "config.json").write_text('{"model_type": "bert"}')
    if kind == "a config that is no JSON":
        (place / "config.json").write_text("colour = blue")
    if kind == "a config that is a directory":
        (place / "config.json").mkdir()


@pytest.mark.parametrize(
    "kind",
    ["a file", "a dangling link", "other files", "another program's config",
     "a config that is no JSON", "a config that is a directory"],
)  # fmt: skip
def test_nothing_foreign_is_touched(fitted, tmp_path, contents, kind):
    foreign(kind, tmp_path / "place")
    before = contents(tmp_path)
    with pytest.raises(RunDirectoryError, match=r"place: .*choose (a new directory|another)"):
        fitted.save(tmp_path / "place")
    assert contents(tmp_path) == before


def test_a_place_that_cannot_be_written(fitted, tmp_path, contents):
    (tmp_path / "file").write_text("a letter")
    before = contents(tmp_path)
    for place in (
        tmp_path / "file" / "run",
        tmp_path / "file" / "deep" / "run",
        tmp_path / ("x" * 300),
        tmp_path / ("x" * 240),  # the name fits, the one beside it does not
    ):
        with pytest.raises(RunDirectoryError, match=r"cannot be written: .*choose another --out"):
            fitted.save(place)
    assert contents(tmp_path) == before


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux's /proc")  # noqa: PTH112
def test_a_file_system_that_cannot_be_written(fitted):
    with pytest.raises(RunDirectoryError, match=r"^/proc/run: cannot be written: .*another --out"):
        fitted.save("/proc/run")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_parent(fitted, tmp_path):
    parent = tmp_path / "locked"
    parent.mkdir(mode=0o500)
    with pytest.raises(RunDirectoryError, match="run: cannot be written: Permission denied"):
        fitted.save(parent / "run")


def test_a_failure_while_writing_leaves_the_old_run(saved, fitted, tmp_path, contents, monkeypatch):
    """The disk is full at each of the writes in turn."""
    before = contents(tmp_path)
    steps = [("pathlib.Path.write_bytes", 5), ("os.fsync", 6)]
    for name, times in steps:
        for nth in range(times):
            with monkeypatch.context() as patch:
                patch.setattr(name, full_at(nth))
                with pytest.raises(RunDirectoryError, match="cannot be written: No space left"):
                    fitted.save(saved)
            assert contents(tmp_path) == before, (name, nth)


def full_at(nth):
    count = iter(range(100))

    def write(*arguments, **options):
        if next(count) == nth:
            raise OSError(28, "No space left on device")

    return write


def test_an_exception_while_saving_leaves_nothing_behind(saved, fitted, tmp_path, contents):
    before = contents(tmp_path)
    for kind in (KeyboardInterrupt, ZeroDivisionError, RunDirectoryError):
        with pytest.raises(kind):
            write_and_raise(fitted, saved, kind)
    assert contents(tmp_path) == before


def write_and_raise(model, place, kind):
    with new_run(place) as run:
        model.write(run.staging)
        raise kind


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing", r"missing: no such run directory; `elman train` makes one"),
        ("file", r"file: is a file; a run directory is needed"),
        ("empty", r"empty: not a run directory, config\.json is missing"),
        ("x" * 300, r"xxx: "),
    ],
)
def test_a_place_without_a_run(tmp_path, place, message):
    (tmp_path / "file").write_text("a letter")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunDirectoryError, match=message):
        Classifier.load(tmp_path / place)


def test_probabilities_of_a_loaded_wide_model(data, tmp_path):
    """Every shape of network goes through the files."""
    for form in (
        {"bidirectional": True, "num_layers": 2, "dropout": 0.1},
        {"nonlinearity": "relu"},
        {"nonlinearity": "identity", "embedding_size": 1, "hidden_size": 1},
    ):
        model = Classifier(epochs=1, **form).fit(*data)
        loaded = Classifier.load(model.save(tmp_path / "run"))
        assert np.array_equal(loaded.predict_proba(data[0]), model.predict_proba(data[0]))


def test_a_run_that_cannot_be_put_in_place_is_kept(fitted, tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", refuse)
        with pytest.raises(RunDirectoryError, match="the new run is whole in") as caught:
            fitted.save(tmp_path / "run")
    kept = str(caught.value).rpartition(" ")[2]
    texts = ["头痛发", "热咳头"]
    assert np.array_equal(Classifier.load(kept).predict_proba(texts), fitted.predict_proba(texts))


def test_two_savers_to_one_place_lose_nothing(fitted, tmp_path):
    """Real processes: every run saved is there afterwards and loads."""
    fitted.save(tmp_path / "seed")
    code = (
        "import sys; from elman import Classifier\n"
        "model = Classifier.load(sys.argv[1])\n"
        "for _ in range(20): model.save(sys.argv[2])"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "seed"), str(tmp_path / "run")]
    savers = [subprocess.Popen(arguments) for _ in range(2)]
    assert [saver.wait(300) for saver in savers] == [0, 0]
    runs = [path for path in tmp_path.iterdir() if path.name != "seed"]
    assert len(runs) == 40
    for path in runs:
        Classifier.load(path)
