"""`--log tensorboard`: real event files beside the run, read back with tensorboard's own reader."""

import json
import sys

import pytest

from elman.cli.console import Log

pytest.importorskip("tensorboard", reason="needs the extra tensorboard")


def read(folder):
    """What TensorBoard shows of a folder: (step, value) by tag, and the texts."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    log = EventAccumulator(str(folder))
    log.Reload()
    tags = log.Tags()
    scalars = {tag: [(e.step, e.value) for e in log.Scalars(tag)] for tag in tags["scalars"]}
    texts = {
        tag: [
            (e.step, tensor_util.make_ndarray(e.tensor_proto).item().decode())
            for e in log.Tensors(tag)
        ]
        for tag in tags["tensors"]
    }
    return scalars, texts


def records_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


def check(scalars, records):
    for name in ("loss", "valid_loss", "valid_accuracy", "lr", "grad_norm"):
        assert [step for step, _ in scalars[name]] == [r["epoch"] for r in records]
        assert [v for _, v in scalars[name]] == pytest.approx([r[name] for r in records], rel=1e-6)
    radii = [r["spectral_radius"]["rnn.weight_hh_l0"] for r in records]
    told = scalars["spectral_radius/rnn.weight_hh_l0"]
    assert [value for _, value in told] == pytest.approx(radii, rel=1e-6)


def test_every_epoch_is_there(train, tmp_path):
    result = train("run", "--epochs", "3", "--log", "tensorboard")
    assert (result.code, result.err) == (0, "")
    folder = tmp_path / "run.tensorboard"
    assert f"  logged     tensorboard --logdir {folder}" in result.out
    scalars, _ = read(folder)
    assert len(records_of(tmp_path / "run")) == 3
    check(scalars, records_of(tmp_path / "run"))


def test_a_killed_training_that_goes_on(train, tmp_path, monkeypatch):
    """What was told of an epoch that the checkpoint does not have is told again and counts once."""

    class Killed(BaseException):
        pass

    show = Log.__call__

    def shown(log, progress):
        show(log, progress)
        if progress.epoch == 3 and progress.step == 2:
            raise Killed

    slow = ["--batch-size", "8", "--epochs", "5", "--patience", "5", "--log", "tensorboard"]
    due = iter([True] * 8 + [False] * 99)
    monkeypatch.setattr("elman.train.Checkpoint.due", lambda self: next(due))
    monkeypatch.setattr(Log, "__call__", shown)
    with pytest.raises(Killed):
        train("run", *slow)
    folder = tmp_path / "run.tensorboard"
    assert [step for step, _ in read(folder)[0]["loss"]] == [1, 2]
    monkeypatch.setattr(Log, "__call__", show)
    result = train("run", *slow, "--resume")
    assert "went on in epoch 2" in result.out
    assert len(list(folder.iterdir())) == 2
    check(read(folder)[0], records_of(tmp_path / "run"))
    again = train("run", *slow, "--resume")  # finished already: nothing to tell
    assert "logged" not in again.out
    assert len(list(folder.iterdir())) == 2


def test_another_training_gets_a_folder_of_its_own(train, tmp_path):
    for seed in ("1", "2"):
        assert train("run", "--log", "tensorboard", "--seed", seed).code == 0
    for name in ("run", "run.bak-1"):
        folder = {"run": "run.tensorboard", "run.bak-1": "run.tensorboard.bak-1"}[name]
        check(read(tmp_path / folder)[0], records_of(tmp_path / name))


def test_samples_of_a_generator(elman, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("我爱你。你爱我。\n" * 60, "utf-8")
    run = tmp_path / "run"
    result = elman("train", "generate", path, "--epochs", "2", "--hidden-size", "8",
                   "--out", run, "--log", "tensorboard")  # fmt: skip
    assert result.code == 0, result.err
    _, texts = read(tmp_path / "run.tensorboard")
    (samples,) = texts.values()
    said = [(step, text.replace("\n    ", "\n").removeprefix("    ")) for step, text in samples]
    assert said == [(r["epoch"], r["sample"]) for r in records_of(run)]


def test_without_the_package(train, refused, terms, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    line = refused("train", "classify", terms, "--text", "term", "--label", "label", "--log",
                   "tensorboard", "--out", tmp_path / "run")  # fmt: skip
    assert "pip install 'elman[tensorboard]'" in line
    assert [p.name for p in tmp_path.iterdir()] == ["terms.csv"]
    assert train("run").code == 0  # it is needed for nothing else
