"""The command `elman`, in this process or as one of its own, and small files for it."""

import itertools
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from elman import Classifier, cli
from elman.data import read_table
from elman.tasks.classify.files import Columns, train_on_table

QUICK = ["--epochs", "2", "--hidden-size", "8", "--embedding-size", "8", "--lr", "0.02"]


@pytest.fixture
def elman(monkeypatch, capfd):
    """Call as elman("predict", ...): its exit code, and what it printed on either side."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["elman", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capfd.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return call


@pytest.fixture
def command():
    """The same as a process of its own: the arguments for Popen, and its environment."""
    return [sys.executable, "-m", "elman"], os.environ | {"PYTHONFAULTHANDLER": ""}


@pytest.fixture
def process(command):
    """Run `python -m elman ...` to its end."""

    def call(*arguments, **options):
        options = {"capture_output": True, "encoding": "utf-8", "timeout": 60, **options}
        start, environment = command
        environment = environment | options.pop("env", {})
        return subprocess.run(
            [*start, *map(str, arguments)], env=environment, check=False, **options
        )

    return call


@pytest.fixture
def refused(elman):
    """It was refused as it should be: exit code 2 and one line, which is returned."""

    def call(*arguments):
        result = elman(*arguments)
        assert result.code == 2, result
        lines = result.err.splitlines()
        assert len(lines) == 1, result.err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in result.out + result.err
        return lines[0]

    return call


@pytest.fixture(scope="session")
def text_of_terms():
    terms = ["".join(p) for p in itertools.permutations("头痛发热咳", 3)]
    rows = [f"{t},{'rise' if t < t[::-1] else 'fall'},{''.join(sorted(t))}" for t in terms]
    return "\n".join(["term,label,group", *rows]) + "\n"


@pytest.fixture
def terms(tmp_path, text_of_terms):
    """A CSV file of sixty terms in ten groups."""
    path = tmp_path / "terms.csv"
    path.write_text(text_of_terms, "utf-8")
    return path


@pytest.fixture
def train(elman, terms, tmp_path):
    """Train on it quickly, into a run directory of that name."""

    def call(name="run", *more):
        arguments = [terms, "--text", "term", "--label", "label", "--group", "group", *QUICK]
        return elman("train", "classify", *arguments, "--out", tmp_path / name, *more)

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory, text_of_terms):
    """A run directory made once; tests must not change it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "terms.csv").write_text(text_of_terms, "utf-8")
    model = Classifier(epochs=2, hidden_size=8, embedding_size=8, lr=0.02)
    train_on_table(model, read_table(folder / "terms.csv"), Columns("term", "label", "group"), 0.2)
    return model.save(folder / "run")
