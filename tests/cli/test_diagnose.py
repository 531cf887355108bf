"""`elman diagnose`: the figures of `elman.diagnose` in a table, as JSON and drawn."""

import json

import numpy as np
import pytest

import elman as package
from elman import Classifier, Forecaster, Generator


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    place = tmp_path_factory.mktemp("generator") / "run"
    model = Generator(hidden_size=8, embedding_size=4, epochs=1, num_layers=2)
    return model.fit("我爱你。你爱我。\n" * 60).save(place)


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forecaster")
    wave = 10 * np.sin(np.arange(120) / 3)
    rows = "".join(f"{value},{2 * value}\n" for value in wave.tolist())
    (folder / "wave.csv").write_text("y,z\n" + rows)
    model = Forecaster(hidden_size=4, epochs=1, horizon=2, season=1)
    return model.fit(wave, columns=["y"]).save(folder / "run"), folder / "wave.csv", wave


def test_a_classifier_on_its_file(elman, trained, terms):
    result = elman("diagnose", trained, terms, "--json", "--first", "40")
    assert (result.code, result.err) == (0, "")
    facts = json.loads(result.out)
    rows = [line.split(",") for line in terms.read_text("utf-8").splitlines()[1:41]]
    found = package.diagnose(
        Classifier.load(trained), [row[0] for row in rows], [row[1] for row in rows]
    )
    assert facts["read"] == f"the first 40 rows of {terms}, against their labels"
    assert facts["loss"] == found.loss
    assert facts["layers"] == json.loads(json.dumps(found.as_dict()))["layers"]
    shown = elman("diagnose", trained, terms, "--first", "40").out
    assert f"loss       {found.loss:.4f}" in shown
    for row in found.table():
        line = next(line for line in shown.splitlines() if f" {row[0]} " in line)
        assert [cell.strip() for cell in line.split("│")[1:-1]] == row
    assert "arXiv 1211.5063" in shown


def test_labels_that_are_not_there(elman, trained, tmp_path):
    path = tmp_path / "bare.csv"
    path.write_text("term\n头痛\n发热\n", "utf-8")
    facts = json.loads(elman("diagnose", trained, path, "--json").out)
    assert facts["read"] == f"the first 2 rows of {path}, against its own answers"


def test_a_generator_on_a_text_and_on_its_own(elman, generator, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("我爱你。你爱我。\n" * 9, "utf-8")
    facts = json.loads(elman("diagnose", generator, path, "--first", "50", "--json").out)
    found = package.diagnose(Generator.load(generator), ("我爱你。你爱我。\n" * 9)[:50])
    assert facts["read"] == f"the first 50 characters of {path}"
    assert facts["loss"] == found.loss
    own = json.loads(elman("diagnose", generator, "--json").out)
    written = Generator.load(generator).generate("", 500, temperature=1.0, seed=0)
    assert own["read"] == f"{len(written)} characters that it wrote itself (seed 0)"
    assert own["loss"] == package.diagnose(Generator.load(generator), written).loss
    assert [layer["name"] for layer in own["layers"]] == ["rnn.l0", "rnn.l1"]


def test_a_forecaster(elman, forecaster):
    run, path, wave = forecaster
    facts = json.loads(elman("diagnose", run, path, "--json", "--ahead", "7").out)
    found = package.diagnose(Forecaster.load(run), wave, ahead=7)
    assert facts["layers"][0]["influence"] == found.layers[0].influence.tolist()
    assert len(facts["layers"][0]["influence"]) <= 8


def test_without_data(elman, trained):
    result = elman("diagnose", trained)
    assert (result.code, result.err) == (0, "")
    assert "spectral radius" in result.out
    assert "Lyapunov" not in result.out
    assert "give DATA for the rest: elman diagnose DIR DATA" in result.out
    assert json.loads(elman("diagnose", trained, "--json").out)["loss"] is None


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_it_is_drawn(elman, trained, terms, tmp_path, kind):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"plot.{kind}"
    result = elman("diagnose", trained, terms, "--plot", path)
    assert (result.code, result.err) == (0, "")
    assert f"  drawn      {path}" in result.out
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind]
    assert path.read_bytes().startswith(begins)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"plot.{kind}", "terms.csv"]


def test_what_is_refused(refused, trained, terms, generator, tmp_path):
    there = tmp_path / "there.png"
    there.write_text("mine")
    for path, message in (
        (there, "there.png is there already; choose another name"),
        (tmp_path / "plot.gif", "should end with .png, .svg or .pdf"),
        (tmp_path / "no" / "plot.png", "there is no folder"),
    ):
        assert message in refused("diagnose", trained, terms, "--plot", path)
    assert there.read_text() == "mine"
    assert "only weights to draw" in refused("diagnose", trained, "--plot", tmp_path / "p.png")
    assert "--label: means nothing for a run of the task 'generate'" in refused(
        "diagnose", generator, terms, "--label", "x"
    )
    assert "no such run directory" in refused("diagnose", tmp_path / "nowhere")
    empty = tmp_path / "empty.csv"
    empty.write_text("term,label\n", "utf-8")
    assert "empty" in refused("diagnose", trained, empty)
    other = tmp_path / "other.csv"
    other.write_text("term,label\n头痛,sideways\n", "utf-8")
    assert "'sideways', none of those the model knows" in refused("diagnose", trained, other)
