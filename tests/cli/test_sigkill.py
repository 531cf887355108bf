"""A real `elman train` is killed again and again; gone on with, it comes to the same bytes."""

import random
import signal
import subprocess
import time

import pytest

from elman import Classifier
from elman.errors import RunDirectoryError

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
FILES = ("model.safetensors", "metrics.jsonl")
# about two seconds of training after the start of Python and torch
SIZE = ["--hidden-size", "32", "--embedding-size", "8", "--batch-size", "4", "--epochs", "50",
        "--patience", "50", "--lr", "0.002"]  # fmt: skip
KILLS = 3


def essence(run):
    return [(run / name).read_bytes() for name in FILES]


def test_killed_at_random_moments_and_gone_on_with(command, terms, tmp_path):
    start, environment = command

    def begin(name, *more):
        told = [str(terms), "--text", "term", "--label", "label", *SIZE, "--out"]
        return subprocess.Popen(
            [*start, "train", "classify", *told, str(tmp_path / name), *more],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip

    began = time.monotonic()
    out, err = begin("whole").communicate(timeout=120)
    life = time.monotonic() - began
    assert "saved" in out, err

    rng, run, seen, deaths = random.Random(7), tmp_path / "run", [], 0
    for k in range(KILLS):
        child = begin("run", "--resume")
        try:  # the moments are spread over the life of a process: its start, steps, end
            child.communicate(timeout=life * (k + rng.random()) / KILLS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        deaths += child.returncode == -signal.SIGKILL
        if not run.exists():
            seen.append("absent")
            continue
        if (run / "config.json").exists():
            Classifier.load(run).predict_proba(["abc"])
            assert essence(run) == essence(tmp_path / "whole")
            seen.append("whole")
        else:
            with pytest.raises(RunDirectoryError, match=r"training is not finished; .*--resume"):
                Classifier.load(run)
            seen.append("unfinished")
    child = begin("run", "--resume")
    out, err = child.communicate(timeout=120)
    assert (child.returncode, err) == (0, "")
    assert deaths >= 1
    assert seen == sorted(seen, key=["absent", "unfinished", "whole"].index), seen
    assert "absent" in seen or "unfinished" in seen
    assert essence(run) == essence(tmp_path / "whole")
    there = sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".")
    assert there == ["run", "terms.csv", "whole"]
