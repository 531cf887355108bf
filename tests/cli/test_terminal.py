"""A bar on a terminal, plain lines in a log; and Ctrl-C."""

import os
import re
import select
import signal
import subprocess
import time

import pytest

from elman import Classifier

pty = pytest.importorskip("pty", reason="needs a Unix terminal")


@pytest.fixture
def training(command, terms, tmp_path):
    """The start of a training in a process of its own."""
    start, environment = command

    def begin(*more, **options):
        arguments = [
            str(terms),
            "--text",
            "term",
            "--label",
            "label",
            "--out",
            str(tmp_path / "run"),
        ]
        return subprocess.Popen(
            [*start, "train", "classify", *arguments, *more],
            env=environment | {"TERM": "xterm", "COLUMNS": "120"}, **options,
        )  # fmt: skip

    return begin


def all_of(descriptor, until):
    """What comes from a terminal until its other side is closed."""
    got = b""
    while time.monotonic() < until:
        if not select.select([descriptor], [], [], 1)[0]:
            continue
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not piece:
            break
        got += piece
    return got.decode("utf-8")


def test_a_bar_on_a_terminal(training):
    ours, theirs = pty.openpty()
    child = training("--epochs", "3", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = all_of(ours, time.monotonic() + 300)
    os.close(ours)
    assert child.wait(timeout=300) == 0
    assert "\x1b[" in shown  # drawn over and over
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(
        r"training +━+ *.*epoch 3/3  loss \d\.\d{4}  \d+ steps/s  eta at most \d+\.\d s",
        plain,
    )
    assert "held-out loss" not in plain
    assert re.search(r"accuracy   \d\.\d{3} on \d+ rows held out", plain)
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor is given back


def test_plain_lines_in_a_log(train):
    result = train("run", "--epochs", "3")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.out + result.err)
    epochs = re.findall(
        r"(?m)^  epoch (\d)/3  loss \d\.\d{4}  validation loss \d\.\d{4}  accuracy [01]\.\d{3}  "
        r"lr 0\.02  \d+ steps/s  \d+\.\d s  eta at most (\d+\.\d) s$",
        result.out,
    )
    assert [number for number, _ in epochs] == ["1", "2", "3"]
    assert epochs[-1][1] == "0.0"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_the_best_so_far(training, tmp_path, stop):
    child = training(
        "--epochs", "1000000", "--patience", "1000000", "--hidden-size", "16",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    line = ""
    while "epoch 2/" not in line:
        line = child.stdout.readline()
        assert line, child.stderr.read()
    child.send_signal(stop)
    for line in child.stderr:  # an impatient person presses again while it saves
        if line == "interrupted: stopping after this step ...\n":
            child.send_signal(stop)
            break
    out, err = child.communicate(timeout=300)
    assert child.returncode == 130
    assert err == (
        f"interrupted: the best weights so far are saved in {tmp_path / 'run'}; the same command "
        "with --resume goes on\n"
    )
    assert re.search(r"accuracy   \d\.\d{3} on", out)
    history = Classifier.load(tmp_path / "run").history_
    assert len(history.records) >= 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "terms.csv"]


def test_ctrl_c_before_the_first_step_saves_nothing(train, monkeypatch, tmp_path, contents):
    before = contents(tmp_path)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("elman.tasks.classify.lesson.ClassifierLesson.loss", stop)
    result = train("run")
    assert result.code == 130
    assert len(result.err.splitlines()) == 1
    assert "interrupted before the first step ended; nothing was learned" in result.err
    assert contents(tmp_path) == before


def test_a_word_now_and_then_inside_a_long_epoch(capsys, monkeypatch):
    """A clock of the test's own: a step takes two seconds."""
    from elman.cli.console import Log
    from elman.train import Progress

    now = [0.0]
    monkeypatch.setattr("elman.cli.console.time.monotonic", lambda: now[0])
    log = Log()
    for step in range(1, 21):
        now[0] += 2.0
        log(Progress(1, 2, step, 20, 0.5, now[0], 0.004))
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "  epoch 1/2  step 8/20  loss 0.5000  lr 0.004  0.5 steps/s  16.0 s  eta at most 64.0 s",
        "  epoch 1/2  step 16/20  loss 0.5000  lr 0.004  0.5 steps/s  32.0 s  eta at most 48.0 s",
    ]
