"""Help and `elman info`; and that neither help nor a bare import costs what torch costs."""

import json
import os
import re
import subprocess
import sys

import numpy
import pytest
import torch

import elman as package
from elman.ops import BACKENDS, select

COMMANDS = [
    [],
    ["train"],
    ["train", "classify"],
    ["predict"],
    ["evaluate"],
    ["info"],
    ["bench"],
    ["demo"],
    ["export"],
    ["diagnose"],
]

# --help ends the program; what it has imported by then is told on stderr
HELP = """
import atexit, sys
atexit.register(lambda: sys.stderr.write("torch" * ("torch" in sys.modules)))
sys.argv = ["elman", *sys.argv[1:], "--help"]
from elman.cli import main
main()
"""

COST = """
import time
import torch
began = time.perf_counter()
import elman
elman.RNN
print(time.perf_counter() - began)
"""


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help(elman, words):
    result = elman(*words, "--help")
    assert (result.code, result.err) == (0, "")
    usage = re.search(r"Usage: .*elman ?(.*?) (\[OPTIONS\]|\{)", result.out)
    assert usage[1] == " ".join(words)
    if not words:
        assert all(name in result.out for name in ("train", "predict", "evaluate", "info", "demo"))
    if words == ["train", "classify"]:
        for option in (
            "--text",
            "--label",
            "--group",
            "--out",
            "--hidden-size",
            "--epochs",
            "--seed",
        ):
            assert option in result.out


@pytest.mark.parametrize("words", [[], ["train", "classify"]], ids=" ".join)
def test_help_does_not_import_torch(words):
    child = subprocess.run(
        [sys.executable, "-c", HELP, *words], capture_output=True, text=True, check=True
    )
    assert child.stderr == ""
    assert "Usage: elman" in child.stdout


def test_a_bare_import_does_not_import_torch():
    code = "import sys, elman; print(elman.__version__, 'torch' in sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == f"{package.__version__} False\n"


def test_importing_costs_at_most_50_ms_over_torch():
    """The least of several fresh processes: what else runs on the machine only adds.

    Of compiled files, as pip leaves them: the first of the processes compiles what is not yet.
    """
    compiling = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    seconds = []
    while len(seconds) < 2 or (min(seconds) > 0.05 and len(seconds) < 7):
        child = subprocess.run(
            [sys.executable, "-c", COST], capture_output=True, check=True, env=compiling
        )
        seconds.append(float(child.stdout))
    assert min(seconds) <= 0.05


def test_python_m_elman(process):
    child = process("info", "--json")
    assert (child.returncode, child.stderr) == (0, "")
    facts = json.loads(child.stdout)
    assert facts["elman"] == package.__version__
    assert facts["packages"]["torch"] == torch.__version__
    assert facts["packages"]["numpy"] == numpy.__version__
    assert facts["threads"] >= 1
    assert facts["python"].startswith(sys.version.split()[0])
    assert facts["backends"] == dict(BACKENDS)
    choice = select(torch.device("cpu"), torch.float32)
    assert facts["serving"]["cpu"] == f"{choice.backend} ({choice.reason})"


def test_info_says_the_same_in_lines(elman):
    facts, shown = json.loads(elman("info", "--json").out), elman("info")
    assert (shown.code, shown.err) == (0, "")
    for name, fact in facts.items():
        for text in map(str, fact.values() if isinstance(fact, dict) else [fact]):
            assert any(
                line.startswith(f"  {name:<10} ") and text in line
                for line in shown.out.splitlines()
            ), name


def test_a_bare_command_shows_help(elman):
    result = elman()
    assert re.search("Usage: .*elman ", result.out + result.err)
    assert "Traceback" not in result.err
