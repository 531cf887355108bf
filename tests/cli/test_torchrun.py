"""`elman train` started by torchrun: two processes, one run, one voice."""

import json
import os
import shutil
import signal
import subprocess
import sys
from importlib import resources

import pytest
import torch

from elman import Classifier

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="needs torch.distributed with gloo",
)
TOLD = ["--text", "term", "--label", "label", "--group", "group", "--hidden-size", "32",
        "--epochs", "8", "--lr", "0.015"]  # fmt: skip


QUICK = ["--text", "term", "--label", "label", "--hidden-size", "8", "--embedding-size", "8"]
TOGETHER = [
    sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
    "elman",
]  # fmt: skip


@pytest.fixture
def torchrun(command):
    """Run `elman ...` in two processes, to the end of both."""
    _, environment = command

    def call(*arguments):
        return subprocess.run(
            [*TOGETHER, *map(str, arguments)], env=environment | {"OMP_NUM_THREADS": "1"},
            capture_output=True, encoding="utf-8", timeout=200, check=False,
        )  # fmt: skip

    return call


def test_two_processes_make_one_run(torchrun, elman, tmp_path):
    terms = resources.files("elman.examples") / "data" / "terms_zh.csv"
    run = tmp_path / "run"
    with resources.as_file(terms) as path:
        child = torchrun("train", "classify", path, *TOLD, "--out", run)
        assert child.returncode == 0, child.stderr
        assert "error" not in child.stderr.lower(), child.stderr
        for word in ("data", "network", "training", "accuracy", "baseline", "saved"):
            lines = [ln for ln in child.stdout.splitlines() if ln.startswith(f"  {word:<10} ")]
            assert len(lines) == 1, word
        assert child.stdout.count("  epoch 1/8  ") == 1
        model = Classifier.load(run)
        assert model.about.held_out.accuracy >= 0.8
        assert model.about.held_out.majority <= 0.55
        assert [record["epoch"] for record in model.history_.records] == list(
            range(1, len(model.history_.records) + 1)
        )
        figures = json.loads(elman("evaluate", run, path, "--json").out)
        assert figures["accuracy"] >= 0.8
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]
    assert [p.name for p in (run / "checkpoint").iterdir()] == ["last.safetensors"]


def test_a_mistake_ends_both_in_its_line(torchrun, terms, tmp_path):
    child = torchrun("train", "classify", terms, "--text", "nothing", "--label", "label",
                     "--out", tmp_path / "run")  # fmt: skip
    assert child.returncode != 0
    told = f"error: {terms}: no column 'nothing'; the columns are"
    assert sum(line.startswith(told) for line in child.stderr.splitlines()) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["terms.csv"]


def test_ctrl_c_stops_both_in_the_same_step(command, terms, tmp_path):
    _, environment = command
    arguments = [*QUICK, "--epochs", "1000000", "--patience", "1000000", "--out", tmp_path / "run"]
    child = subprocess.Popen(
        [*TOGETHER, "train", "classify", str(terms), *map(str, arguments)],
        env=environment | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True,
    )  # fmt: skip
    while "  report  " not in (line := child.stdout.readline()):  # after a few seconds
        assert line, child.stderr.read()
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "The training is under way" in page
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does
    out, err = child.communicate(timeout=300)
    assert child.returncode != 0
    assert "  report  " not in out  # one process alone has told of it
    assert err.count("interrupted: the best weights so far are saved") == 1
    assert len(Classifier.load(tmp_path / "run").history_.records) < 1_000_000
    assert "under way" not in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_both_go_on_from_the_same_checkpoint(torchrun, terms, tmp_path):
    """Killed when its run was whole, before the checkpoint under way was taken away."""
    run = tmp_path / "run"
    arguments = ["train", "classify", terms, *QUICK, "--out", run, "--resume"]
    assert torchrun(*arguments, "--epochs", "3").returncode == 0
    folder = run / "checkpoint"
    shutil.copy(folder / "last.safetensors", folder / "unfinished.safetensors")
    again = torchrun(*arguments, "--epochs", "5")
    assert again.returncode == 0, again.stderr
    assert "went on in epoch 4" in again.stdout
    whole = tmp_path / "whole"
    assert torchrun(*arguments[:-2], whole, "--epochs", "5").returncode == 0
    first, second = (path / "model.safetensors" for path in (run, whole))
    assert first.read_bytes() == second.read_bytes()
    command = Classifier.load(run).about.command
    assert command.startswith("torchrun --nproc-per-node 2 -m elman train classify")
