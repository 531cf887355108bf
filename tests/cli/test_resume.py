"""`--resume`: a training stopped at any step goes on to the same bytes; what lies there is safe."""

import os
import signal
import subprocess
import sys

import pytest

from elman import Classifier
from elman.cli.console import Log
from elman.tasks.newrun import training_run

# 40 or so rows to learn from, 8 in a batch: five or six steps an epoch
SLOW = ["--batch-size", "8", "--epochs", "4", "--patience", "4"]
SAME = ("model.safetensors", "metrics.jsonl", "vocab.json")


def essence(run):
    return {name: (run / name).read_bytes() for name in SAME}


def names(place):
    return sorted(path.name for path in place.iterdir())


@pytest.fixture
def at_report(monkeypatch):
    """Do something at the nth of all that a training reports."""
    show = Log.__call__

    def arrange(nth, act):
        calls = iter(range(1, 100_000))

        def shown(log, progress):
            show(log, progress)
            if next(calls) == nth:
                act()

        monkeypatch.setattr(Log, "__call__", shown)

    yield arrange
    monkeypatch.setattr(Log, "__call__", show)


def press():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def whole(train, tmp_path):
    """The run that was never interrupted."""
    result = train("whole", *SLOW)
    assert result.code == 0
    return tmp_path / "whole", result.out


@pytest.mark.parametrize("nth", [1, 3, 6, 7, 10, 16])
def test_ctrl_c_at_a_step_and_resume(train, whole, at_report, tmp_path, nth):
    at_report(nth, press)
    stopped = train("run", *SLOW)
    assert stopped.code == 130
    assert stopped.err.splitlines() == [
        "interrupted: stopping after this step ...",
        f"interrupted: the best weights so far are saved in {tmp_path / 'run'}; the same command "
        "with --resume goes on",
    ]
    assert "  accuracy " in stopped.out
    run = tmp_path / "run"
    assert names(run / "checkpoint") == ["last.safetensors"]
    records = Classifier.load(run).history_.records
    assert len(records) == nth // 8 + 1 or "steps" in records[-1]
    at_report(0, press)
    resumed = train("run", *SLOW, "--resume")
    assert (resumed.code, resumed.err) == (0, "")
    assert essence(run) == essence(whole[0])
    assert "; went on in epoch " in resumed.out
    assert f"the run that was there is now {tmp_path / 'run.bak-1'}" in resumed.out
    assert names(tmp_path) == ["run", "run.bak-1", "terms.csv", "whole"]
    told = [line for line in whole[1].splitlines() if line.startswith("  accuracy")]
    assert told == [line for line in resumed.out.splitlines() if line.startswith("  accuracy")]


def test_a_step_is_told_of_where_it_stopped(train, at_report):
    at_report(3, press)
    assert "  epoch 1/4 (stopped at step 3)  loss " in train("run", *SLOW).out


def test_a_finished_training_is_left_as_it_is(train, whole, contents, tmp_path):
    before = contents(tmp_path)
    result = train("whole", *SLOW, "--resume")
    assert (result.code, result.err) == (0, "")
    assert "was finished already; --epochs or --patience above that go on with it" in result.out
    assert contents(tmp_path) == before


def test_more_epochs_go_on_with_a_finished_training(train, tmp_path):
    train("run", *SLOW)
    longer = [*SLOW[:3], "7", "--patience", "7"]
    resumed = train("run", *longer, "--resume")
    assert resumed.code == 0
    assert "7 epochs; kept the weights of " in resumed.out
    assert "; went on in epoch 5" in resumed.out
    assert "epoch 4/" not in resumed.out
    train("straight", *longer)
    assert essence(tmp_path / "run") == essence(tmp_path / "straight")


def test_resume_where_nothing_was_begun(train, whole, tmp_path):
    result = train("run", *SLOW, "--resume")
    assert (result.code, result.err) == (0, "")
    assert "went on" not in result.out
    assert essence(tmp_path / "run") == essence(whole[0])


def test_resume_of_a_run_without_a_checkpoint_begins_anew(train, whole, trained, tmp_path):
    """Saved from Python, or by the first version."""
    place = Classifier.load(trained).save(tmp_path / "run")
    before = essence(place)
    result = train("run", *SLOW, "--resume")
    assert (result.code, result.err) == (0, "")
    assert essence(place) == essence(whole[0])
    assert essence(tmp_path / "run.bak-1") == before
    assert "checkpoint" not in names(tmp_path / "run.bak-1")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--lr", "0.5", "made with lr 0.02, now it is 0.5; to go on give the same as then, or"),
        ("--seed", "3", "made with random_state 0, now it is 3"),
        ("--hidden-size", "9", "made with hidden_size 8, now it is 9"),
        ("--hold-out", "0.5", "made with other data; to go on give the same as then, or leave out"),
    ],
)
def test_resume_with_other_settings(train, whole, contents, tmp_path, option, value, message):
    before = contents(tmp_path)
    result = train("whole", *SLOW, option, value, "--resume")
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert message in result.err
    assert contents(tmp_path) == before


def test_resume_with_other_rows(train, whole, terms, contents, tmp_path):
    terms.write_text(terms.read_text("utf-8").replace(",rise,", ",fall,", 1), "utf-8")
    before = contents(tmp_path)
    result = train("whole", *SLOW, "--resume")
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert "last.safetensors: made with other data" in result.err
    assert contents(tmp_path) == before


def killed_at(train, at_report, nth, *more):
    """What lies there after a kill just after the nth report: nothing is tidied up."""

    class Killed(BaseException):
        pass

    def die():
        raise Killed

    at_report(nth, die)
    with pytest.raises(Killed):
        train("run", *SLOW, *more)
    at_report(0, die)


@pytest.fixture
def eager(monkeypatch):
    """A checkpoint after every step."""
    monkeypatch.setattr("elman.train.Checkpoint.due", lambda self: True)


def test_a_checkpoint_that_is_not_gone_on_with_is_kept(
    train, whole, at_report, eager, refused, terms, tmp_path
):
    killed_at(train, at_report, 9)
    folder = tmp_path / "run" / "checkpoint"
    assert names(tmp_path / "run") == ["checkpoint"]
    assert names(folder) == ["unfinished.safetensors"]
    line = refused("predict", tmp_path / "run", terms)
    assert line.endswith(
        "run: its training is not finished; give the command that began it again, with --resume"
    )
    unfinished = (folder / "unfinished.safetensors").read_bytes()
    again = train("run", *SLOW)
    assert (
        "  kept       the checkpoint of an unfinished training, now unfinished.bak-1" in again.out
    )
    assert (folder / "unfinished.bak-1.safetensors").read_bytes() == unfinished
    assert names(folder) == ["last.safetensors", "unfinished.bak-1.safetensors"]
    assert essence(tmp_path / "run") == essence(whole[0])


def test_a_killed_training_goes_on(train, whole, at_report, eager, tmp_path):
    for nth in (3, 4, 5):
        killed_at(train, at_report, nth, "--resume")
    result = train("run", *SLOW, "--resume")
    assert (result.code, result.err) == (0, "")
    assert essence(tmp_path / "run") == essence(whole[0])
    assert names(tmp_path / "run" / "checkpoint") == ["last.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_checkpoint(train, at_report, eager, contents, tmp_path, damage):
    killed_at(train, at_report, 4)
    path = tmp_path / "run" / "checkpoint" / "unfinished.safetensors"
    data = bytearray(path.read_bytes())
    data[-7] ^= 8
    path.write_bytes(data[:-9] if damage == "cut" else data)
    before = contents(tmp_path)
    result = train("run", *SLOW, "--resume")
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert f"{path}: damaged: " in result.err
    assert "leave out --resume to begin anew" in result.err
    assert contents(tmp_path) == before


def test_an_older_run_stays_in_use_until_the_new_one_is_whole(
    train, elman, whole, monkeypatch, eager, terms, tmp_path
):
    run, show = whole[0], Log.__call__
    before, seen = essence(run), []

    def shown(log, progress):
        show(log, progress)
        Classifier.load(run)
        seen.append(essence(run))

    monkeypatch.setattr(Log, "__call__", shown)
    assert train("whole", *SLOW, "--seed", "1").code == 0
    assert len(seen) >= 20
    assert all(files == before for files in seen)
    assert essence(run) != before
    assert essence(tmp_path / "whole.bak-1") == before
    assert names(tmp_path / "whole.bak-1" / "checkpoint") == ["last.safetensors"]


def test_two_trainings_in_one_place(train, whole, contents, tmp_path):
    for name in ("run", "whole"):
        with training_run(tmp_path / name) as first:
            before = contents(tmp_path)
            for more in ([], ["--resume"]):
                result = train(name, *SLOW, *more)
                assert (result.code, len(result.err.splitlines())) == (2, 1)
                assert "another training is writing there; wait for it or choose" in result.err
            assert contents(tmp_path) == before
            first.unchanged = True
    assert names(tmp_path) == ["terms.csv", "whole"]


@pytest.mark.parametrize("name", ["cuda", "cuda:9", "mps"])
def test_a_device_that_is_not_there(train, contents, tmp_path, name):
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("needs a machine without a GPU")
    before = contents(tmp_path)
    result = train("run", "--device", name)
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert f"error: device {name}: torch " in result.err
    assert "use cpu" in result.err
    assert contents(tmp_path) == before


def test_deterministic_alone_changes_nothing_on_a_cpu(process, train, terms, tmp_path):
    """In a process of its own: it is for the whole of torch."""
    train("plain", "--seed", "4")
    told = ["--text", "term", "--label", "label", "--group", "group", "--hidden-size", "8",
            "--embedding-size", "8", "--epochs", "2", "--lr", "0.02", "--seed", "4"]  # fmt: skip
    child = process("train", "classify", terms, *told, "--deterministic", "--out", tmp_path / "run")
    assert (child.returncode, child.stderr) == (0, "")
    assert essence(tmp_path / "run") == essence(tmp_path / "plain")


def test_a_finished_training_told_otherwise_is_written_anew(train, whole, elman, terms, tmp_path):
    """The same rows under other names of columns: the run should say those."""
    renamed = tmp_path / "renamed.csv"
    text = terms.read_text("utf-8").replace("term,label,group", "a,b,c", 1)
    renamed.write_text(text, "utf-8")
    before = Classifier.load(tmp_path / "whole").about
    same = train("whole", *SLOW, "--resume")
    assert "  unchanged " in same.out
    result = elman("train", "classify", renamed, "--text", "a", "--label", "b", "--group", "c",
                   "--hidden-size", "8", "--embedding-size", "8", "--lr", "0.02", *SLOW, "--out",
                   tmp_path / "whole", "--resume")  # fmt: skip
    assert result.code == 0, result.err
    assert "  saved " in result.out
    after = Classifier.load(tmp_path / "whole").about
    assert before.columns == {"text": "term", "label": "label", "group": "group"}
    assert after.columns == {"text": "a", "label": "b", "group": "c"}


def test_what_killed_processes_left_is_cleared(train, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for number in (gone.pid, os.getpid()):
        (tmp_path / f".run.partial-{number}-00000000").mkdir()
    assert train("run").code == 0
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert left == [f".run.partial-{os.getpid()}-00000000"]
