"""`elman view` as a person types it."""

import json
import shutil

import numpy as np
import pytest
import torch

from elman import Classifier, Forecaster, Generator
from tests.cli.conftest import QUICK
from tests.tasks import generators
from tests.view.layers import stepped
from tests.view.layers import terms as terms_of
from tests.view.networks import array
from tests.view.networks import document as document_of
from tests.view.pages import sums


def document(path):
    return document_of(path.read_text("utf-8"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A run of each job, and files to read; tests must not change them."""
    folder = tmp_path_factory.mktemp("runs")
    Generator(**generators.SMALL).fit(generators.TEXT).save(folder / "writer")
    t = np.arange(120)
    values = np.round(10 * np.sin(2 * np.pi * t / 20) + 20, 3)
    rows = [f"{1900 + k},{v}" for k, v in zip(t, values, strict=True)]
    (folder / "wave.csv").write_text("\n".join(["year,y", *rows]) + "\n", "utf-8")
    model = Forecaster(horizon=3, hidden_size=4, epochs=2).fit(values, columns=["y"])
    model.about = model.about.model_copy(update={"columns": {"target": ["y"], "time": "year"}})
    model.save(folder / "wave")
    pairs = [[[k % 7, 1.0]] * 3 for k in range(20)]
    Classifier(hidden_size=4, epochs=2).fit(pairs, ["a", "b"] * 10).save(folder / "pairs")
    lines = [json.dumps({"s": pair}) for pair in pairs]
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_a_text(elman, trained, tmp_path):
    page = tmp_path / "page.html"
    result = elman("view", trained, "--input", "头痛发", "-o", page)
    assert (result.code, result.err) == (0, "")
    assert f"{page}" in result.out
    assert "3 steps" in result.out
    of = document(page)
    assert [step["label"] for step in of["steps"]] == list("头痛发")
    assert of["title"] == "头痛发"
    p = Classifier.load(trained).predict_proba(["头痛发"])[0]
    assert of["outputs"]["answer"] == ["fall", "rise"][p.argmax()]


def test_a_leak_and_a_norm(elman, terms, tmp_path, chromium):
    """Trained, diagnosed and seen by the commands alone; the page's numbers are the network's."""
    run, page = tmp_path / "run", tmp_path / "page.html"
    columns = ["--text", "term", "--label", "label", "--group", "group"]
    dynamics = ["--leak", "0.3", "--layer-norm"]
    assert elman("train", "classify", terms, *columns, *dynamics, *QUICK, "--out", run).code == 0
    facts = json.loads(elman("diagnose", run, terms, "--json", "--first", "20").out)
    assert facts["layers"][0]["horizon"] >= 1
    assert elman("view", run, "--input", "头痛发热", "-o", page).code == 0
    network = Classifier.load(run).model_
    ids = torch.tensor([Classifier.load(run).reader_.vocabulary.encode("头痛发热")])
    x = network.embedding(ids)[0].detach()
    _, ((_, before, _),), _ = stepped(network.rnn, x)
    truth = terms_of(network.rnn, 0, 0, x[2].double(), before[2].detach())
    tab = chromium.new_page()
    tab.goto(page.as_uri() + "#step=3&unit=5")
    tab.wait_for_selector('html[data-drawn="all"]', timeout=60_000)
    found = sums(tab)
    tab.close()
    assert found.keys() == truth.keys() | {"difference"}
    assert {"norm", "keep", "fresh"} <= found.keys()
    for name, value in truth.items():
        assert found[name][1] == pytest.approx(float(value[5]), abs=1e-6), name
    assert abs(found["difference"][1]) < 1e-6


def test_a_row_of_the_table_it_learned_from(elman, trained, tmp_path):
    page, table = tmp_path / "page.html", trained.parent / "terms.csv"
    assert elman("view", trained, table, "--row", "7", "-o", page).code == 0
    text = table.read_text("utf-8").splitlines()[7].split(",")[0]
    assert document(page)["title"] == text


def test_the_page_lies_beside_the_run_and_an_older_one_is_moved(elman, runs, tmp_path, monkeypatch):
    shutil.copytree(runs / "writer", tmp_path / "writer")
    monkeypatch.chdir(tmp_path / "writer")
    assert elman("view", ".", "--input", "我爱").code == 0
    assert (tmp_path / "writer.html").is_file()
    result = elman("view", tmp_path / "writer", "--input", "他爱")
    assert "writer.bak-1.html" in result.out
    assert document(tmp_path / "writer.bak-1.html")["title"] == "我爱"
    assert "unchanged" in elman("view", tmp_path / "writer", "--input", "他爱").out


def test_a_generator_reads_from_the_beginning_of_a_line(elman, runs, tmp_path):
    page, text = tmp_path / "page.html", tmp_path / "text.txt"
    assert elman("view", runs / "writer", "--input", "", "-o", page).code == 0
    assert [step["label"] for step in document(page)["steps"]] == ["\n"]
    text.write_text("我爱你。\n" * 60, "utf-8")
    assert elman("view", runs / "writer", text, "--steps", "30", "-o", page).code == 0
    of = document(page)
    assert (of["title"], of["of"], len(of["steps"])) == ("text.txt", 301, 30)


def test_the_tail_of_a_series(elman, runs, tmp_path):
    page = tmp_path / "page.html"
    result = elman("view", runs / "wave", runs / "wave.csv", "-o", page)
    assert (result.code, result.err) == (0, "")
    assert "120 steps, the last 100 of them on the page" in result.out
    of = document(page)
    assert of["steps"][-1]["label"] == "2019"
    assert of["outputs"]["following"] == ["2020", "2021", "2022"]
    given = json.dumps([float(k) for k in range(30)])
    assert elman("view", runs / "wave", "--input", given, "-o", page).code == 0
    assert document(page)["steps"][-1]["label"] == "30"


def test_sequences_of_numbers(elman, runs, tmp_path):
    page = tmp_path / "page.html"
    given = ["--input", "[[1, 2], [3, 4]]"]
    assert elman("view", runs / "pairs", *given, "-o", page).code == 0
    assert [step["label"] for step in document(page)["steps"]] == ["1, 2", "3, 4"]
    file = [runs / "pairs.jsonl", "--sequence", "s", "--row", "3"]
    assert elman("view", runs / "pairs", *file, "-o", page).code == 0
    assert [step["label"] for step in document(page)["steps"]] == ["2, 1"] * 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["writer"], "--input TEXT, or FILE"),
        (["wave"], "say which series"),
        (["wave", "wave.csv", "--input", "[1]"], "two inputs"),
        (["wave", "--input", "abc"], "give a JSON array"),
        (["wave", "--input", "[1, 2]"], "the series has 2 rows"),
        (["wave", "--input", "[1, 2]", "--time", "year"], "--time"),
        (["wave", "wave.csv", "--row", "3"], "--row: means nothing"),
        (["writer", "--input", "a", "--text", "t"], "--text: means nothing"),
        (["pairs", "pairs.jsonl", "--sequence", "s", "--row", "99"], "has 20 inputs"),
        (["pairs", "--input", "[[1, 2]]", "--row", "2"], "--row: says what to read of a FILE"),
        (["pairs", "--input", "[[1, 2, 3]]"], "should have 2 numbers"),
        (["nothing", "--input", "a"], "no such run directory"),
        (["model.onnx", "--input", "a"], "an ONNX file can only be run; to see inside, give"),
        (["writer", "--input", "a", "-o", "no/such/page.html"], "there is no folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_line(refused, runs, arguments, words, monkeypatch):
    monkeypatch.chdir(runs)
    assert words in refused("view", *arguments)


def test_an_empty_text_is_nothing_to_step_through(refused, trained):
    assert "nothing to step through" in refused("view", trained, "--input", "")


def test_the_numbers_are_the_runs_own(elman, runs, tmp_path):
    page = tmp_path / "page.html"
    elman("view", runs / "writer", "--input", "我", "-o", page)
    network = Generator.load(runs / "writer").model_
    chain = document(page)["chains"][0]
    assert torch.equal(array(chain["weightHh"]), network.rnn.weight_hh_l0.detach())
