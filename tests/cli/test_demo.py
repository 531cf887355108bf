"""`elman demo` as a newcomer runs it: it learns, and shows what it learned."""

import re
import subprocess
import sys

import pytest

from elman import Classifier, load


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    child = subprocess.run(
        [sys.executable, "-m", "elman", "demo"],
        cwd=folder, capture_output=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    return folder, child


def test_it_learns(demo):
    _, child = demo
    assert (child.returncode, child.stderr) == (0, "")
    accuracy = float(re.search(r"(?m)^  accuracy +(\S+) on \d+ rows held out", child.stdout)[1])
    baseline = float(re.search(r"(?m)^  baseline +(\S+) by always", child.stdout)[1])
    assert accuracy >= 0.90
    assert 0.45 <= baseline <= 0.55


def test_it_shows_five_answers_and_leaves_a_run(demo):
    folder, child = demo
    answers = re.findall(
        r"(?m)^ +(\S+)  →  (real|fake) \((0\.\d\d|1\.00)\)  (right|wrong, it is (?:real|fake))$",
        child.stdout,
    )
    assert len(answers) == 5
    model = Classifier.load(folder / "runs" / "demo" / "terms")
    for text, answer, probability, _ in answers:
        assert model.predict([text]).tolist() == [answer]
        assert f"{model.predict_proba([text]).max():.2f}" == probability
    assert model.about.held_out.rows >= 200
    assert model.about.data.rows >= 1000
    assert "elman predict runs/demo/terms YOUR.csv --text COLUMN" in child.stdout


def test_it_leaves_a_run_for_each_of_its_networks(demo):
    folder, _ = demo
    for name in ("terms", "chinese", "english", "sunspots"):
        assert load(folder / "runs" / "demo" / name).history_.records, name
