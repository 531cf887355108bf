"""`elman train classify`, `elman predict`, `elman evaluate`: from a file to its answers."""

import csv
import inspect
import io
import json
import os
import sys

import pytest
import torch

from elman import Classifier
from elman.cli.train import classify
from tests.cli.conftest import QUICK

FILES = [
    "README.md", "checkpoint", "config.json", "metrics.jsonl", "model.safetensors", "report.html",
    "report.json", "vocab.json",
]  # fmt: skip


def rows_of(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def test_from_a_file_to_its_answers(train, elman, terms, tmp_path):
    result = train("run")
    assert result.code == 0
    assert result.err == ""
    for word in ("data", "network", "training", "accuracy", "baseline", "saved"):
        assert sum(line.startswith(f"  {word:<10} ") for line in result.out.splitlines()) == 1, word
    assert "60 rows" in result.out
    run = tmp_path / "run"
    assert sorted(path.name for path in run.iterdir()) == FILES
    model = Classifier.load(run)
    assert f"accuracy   {model.about.held_out.accuracy:.3f} on" in result.out
    assert model.about.command.startswith("elman train classify ")
    assert model.about.command in (run / "README.md").read_text("utf-8")

    predicted = elman("predict", run, terms)
    assert (predicted.code, predicted.err) == (0, "")
    header, *rows = rows_of(predicted.out)
    assert header == ["term", "label", "group", "predicted", "probability_fall", "probability_rise"]
    assert [row[:3] for row in rows] == rows_of(terms.read_text("utf-8"))[1:]
    texts = [row[0] for row in rows]
    assert [row[3] for row in rows] == model.predict(texts).tolist()
    assert [float(row[5]) for row in rows] == model.predict_proba(texts)[:, 1].round(6).tolist()

    evaluated = elman("evaluate", run, terms, "--json")
    assert (evaluated.code, evaluated.err) == (0, "")
    figures = json.loads(evaluated.out)
    assert figures["accuracy"] == model.score(texts, [row[1] for row in rows])
    assert figures["rows"] == 60
    assert figures["majority"] == 0.5
    assert figures["learned_from"] is True

    shown = elman("evaluate", run, terms).out
    assert f"accuracy   {figures['accuracy']:.3f} on 60 rows" in shown
    assert "baseline   0.500" in shown
    assert "beware" in shown  # it learned from these rows
    terms.write_text(terms.read_text("utf-8") + "\n", "utf-8")
    assert "beware" not in elman("evaluate", run, terms).out


def test_the_same_seed_gives_the_same_figures(train, tmp_path):
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        assert train(name, "--seed", seed).code == 0
    a, b, c = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in "abc")
    assert a == b != c
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_the_older_run_is_moved_aside(train, tmp_path, contents):
    train("run")
    first = contents(tmp_path / "run")
    assert "  moved " not in train("other").out
    result = train("run", "--seed", "1")
    assert f"the run that was there is now {tmp_path / 'run.bak-1'}" in result.out
    assert contents(tmp_path / "run.bak-1") == first
    assert contents(tmp_path / "run") != first


def test_every_option_reaches_the_classifier(train, tmp_path):
    options = {
        "--nonlinearity": "relu", "--num-layers": 2, "--dropout": 0.25, "--epochs": 3,
        "--batch-size": 16, "--clip": 0.5, "--patience": 2, "--seed": 5, "--hidden-size": 4,
        "--embedding-size": 3, "--lr": 0.03, "--level": "word", "--init": "identity",
        "--device": "cpu",
    }  # fmt: skip
    flat = [part for pair in options.items() for part in map(str, pair)]
    assert train("run", *flat, "--bidirectional", "--hold-out", "0.4").code == 0
    model = Classifier.load(tmp_path / "run")
    given = {name.strip("-").replace("-", "_"): value for name, value in options.items()}
    given["random_state"] = given.pop("seed")
    assert model.get_params() == Classifier().get_params() | given | {"bidirectional": True}
    assert model.about.held_out.rows in (24, 30)  # two fifths of ten groups


def test_the_defaults_are_those_of_the_classifier():
    names = {"seed": "random_state"}
    of_class = Classifier().get_params()
    of_command = {
        names.get(name, name): parameter.default
        for name, parameter in inspect.signature(classify).parameters.items()
        if names.get(name, name) in of_class
    }
    assert len(of_command) == 20
    assert of_command == {name: of_class[name] for name in of_command}


def test_the_default_place(elman, terms, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = elman("train", "classify", terms, "--text", "term", "--label", "label",
                   "--epochs", "1", "--hidden-size", "4")  # fmt: skip
    assert result.code == 0
    assert Classifier.load("runs/terms").about.columns == {"text": "term", "label": "label"}


def test_other_kinds_of_file(elman, terms, tmp_path):
    rows = rows_of(terms.read_text("utf-8"))
    jsonl = tmp_path / "terms.jsonl"
    objects = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    jsonl.write_text("\n".join(map(json.dumps, objects)), "utf-8")
    gb = tmp_path / "gb.tsv"
    gb.write_text("\n".join("\t".join(row) for row in rows), "gb18030")
    answers = []
    for number, (path, *more) in enumerate([(terms,), (jsonl,), (gb, "--encoding", "gb18030")]):
        run = tmp_path / f"run{number}"
        made = elman("train", "classify", path, "--text", "term", "--label", "label", "--out", run,
                     "--epochs", "1", "--hidden-size", "4", *more)  # fmt: skip
        assert made.code == 0, made.err
        answers.append(elman("predict", run, path, *more).out)
    assert answers[0] == answers[2].replace("\t", ",")
    header, *expected = rows_of(answers[0])
    got = [json.loads(line) for line in answers[1].splitlines()]
    assert [list(record) for record in got] == [header] * 60
    for record, row in zip(got, expected, strict=True):
        assert [record[name] for name in header[:4]] == row[:4]
        assert [f"{record[name]:.6f}" for name in header[4:]] == row[4:]


def test_training_leaves_the_callers_random_numbers_alone(train):
    before = torch.get_rng_state().tolist()
    train("run")
    assert torch.get_rng_state().tolist() == before


@pytest.mark.parametrize("name", ["[bold]x[/bold]", "[/]", "a b", "名"])
def test_classes_with_odd_names(elman, tmp_path, name):
    path = tmp_path / "file.csv"
    rows = [f"{a}{b},{name if a < b else 'other'}" for a in "abcdef" for b in "abcdef" if a != b]
    path.write_text("\n".join(["t,c", *rows]), "utf-8")
    run = tmp_path / "run"
    made = elman("train", "classify", path, "--text", "t", "--label", "c", "--out", run,
                 "--epochs", "1", "--hidden-size", "4")  # fmt: skip
    assert made.code == 0, made.err
    shown = elman("evaluate", run, path)
    assert shown.code == 0, shown.err
    assert name in shown.out
    assert f"probability_{name}" in elman("predict", run, path).out.splitlines()[0]


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names there are UTF-8")
def test_names_that_are_not_utf_8_go_through_to_the_end(elman, refused, terms, tmp_path):
    """As archives of Chinese Windows hold them: the system gives such bytes as half pairs."""
    odd = os.fsdecode("测试".encode("gbk"))
    file, run = tmp_path / f"{odd}.csv", tmp_path / odd
    file.write_bytes(terms.read_bytes())
    columns = ["--text", "term", "--label", "label", "--group", "group"]
    first = elman("train", "classify", file, *columns, *QUICK, "--out", run)
    assert first.code == 0, first.err
    about = json.loads((run / "config.json").read_text("utf-8"))["about"]
    assert about["data"]["file"] == "����.csv"
    assert "����.csv" in about["command"]
    on = ["--epochs", "3", *QUICK[2:], "--out", run, "--resume"]
    again = elman("train", "classify", file, *columns, *on)  # which reads the checkpoint
    assert again.code == 0, again.err
    assert "went on in epoch 3" in again.out
    assert elman("predict", run, file).code == 0
