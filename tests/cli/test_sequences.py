"""Sequences of numbers from files: JSON arrays in CSV and JSONL, and rows that each hold a step."""

import csv
import io
import json

import numpy as np
import pytest

from elman import Classifier

QUICK = ["--epochs", "3", "--hidden-size", "8", "--lr", "0.02", "--label", "kind"]


def waves(number=40, features=1):
    """Sequences (L, F) of several lengths and whether each is slow or fast."""
    rng = np.random.default_rng(0)
    X = []
    for k in range(number):
        steps = np.arange(rng.integers(5, 9))[:, None] + rng.uniform(0, 9, features)
        X.append(np.sin((0.4, 1.5)[k % 2] * steps).round(3))
    return X, [("slow", "fast")[k % 2] for k in range(number)]


def rows_of(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def write_arrays(path, X, y):
    """One sequence a row: (L,) where F is 1."""
    arrays = [(x[:, 0] if x.shape[1] == 1 else x).tolist() for x in X]
    if path.suffix == ".jsonl":
        lines = [json.dumps({"s": a, "kind": k}) for a, k in zip(arrays, y, strict=True)]
        path.write_text("\n".join(lines) + "\n")
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(
                [["s", "kind"], *zip(map(json.dumps, arrays), y, strict=True)]
            )
    return path


@pytest.fixture
def steps(tmp_path):
    """One step a row, in no order: id, day, a, b, kind."""
    X, y = waves(features=2)
    rows = [
        [f"id{k}", f"2020-01-{day + 1:02}", *map(str, step), y[k]]
        for k, x in enumerate(X)
        for day, step in enumerate(x.tolist())
    ]
    order = np.random.default_rng(1).permutation(len(rows))
    path = tmp_path / "steps.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "day", "a", "b", "kind"], *(rows[k] for k in order)])
    return path


@pytest.mark.parametrize("features", [1, 2])
def test_arrays_in_csv_and_in_jsonl_are_the_same(elman, tmp_path, features):
    X, y = waves(features=features)
    answers = []
    for name in ("w.csv", "w.jsonl"):
        path, run = write_arrays(tmp_path / name, X, y), tmp_path / f"run-{name}"
        made = elman("train", "classify", path, "--sequence", "s", *QUICK, "--out", run)
        assert (made.code, made.err) == (0, ""), made.err
        model = Classifier.load(run)
        assert model.about.columns == {"sequence": "s", "label": "kind"}
        assert ("numbers" if features == 1 else "2 numbers a step") in made.out
        out = elman("predict", run, path, "-o", tmp_path / f"out-{name}")
        assert out.code == 0
        figures = json.loads(elman("evaluate", run, path, "--json").out)
        assert figures["accuracy"] == model.score(X, y)
        assert figures["rows"] == 40
        answers.append(model.predict_proba(X))
    assert (answers[0] == answers[1]).all()
    header, *rows = rows_of((tmp_path / "out-w.csv").read_text())
    assert header == ["s", "kind", "predicted", "probability_fast", "probability_slow"]
    assert [float(row[3]) for row in rows] == answers[0][:, 0].round(6).tolist()
    records = [json.loads(line) for line in (tmp_path / "out-w.jsonl").read_text().splitlines()]
    assert [record["probability_fast"] for record in records] == answers[0][:, 0].tolist()
    assert [record["s"] for record in records] == [
        (x[:, 0] if features == 1 else x).tolist() for x in X
    ]


def test_a_step_a_row_from_end_to_end(elman, steps, tmp_path):
    told = ["--id", "id", "--time", "day", "--values", "a", "--values", "b"]
    run = tmp_path / "run"
    made = elman("train", "classify", steps, *told, *QUICK, "--out", run)
    assert (made.code, made.err) == (0, ""), made.err
    model = Classifier.load(run)
    assert model.about.columns == {
        "id": "id", "time": "day", "values": ["a", "b"], "label": "kind",
    }  # fmt: skip
    assert "of 40 sequences" in model.about.data.seen
    X, y = waves(features=2)
    header, *rows = rows_of(elman("predict", run, steps).out)
    assert header == ["id", "kind", "predicted", "probability_fast", "probability_slow"]
    at = {f"id{k}": k for k in range(40)}
    assert sorted(at[row[0]] for row in rows) == list(range(40))  # one row for each id
    expected = model.predict_proba(X)
    for row in rows:
        assert row[1] == y[at[row[0]]]
        assert [float(p) for p in row[3:]] == pytest.approx(expected[at[row[0]]], abs=1e-6)
    figures = json.loads(elman("evaluate", run, steps, "--json").out)
    assert (figures["rows"], figures["accuracy"]) == (40, model.score(X, y))
    assert figures["learned_from"] is True


def test_the_same_sequences_in_another_form_make_the_same_model(elman, steps, tmp_path):
    """Values in another order or form: the classes of a step are its numbers, not its file."""
    told = ["--id", "id", "--time", "day", "--values", "a", "--values", "b"]
    elman("train", "classify", steps, *told, *QUICK, "--out", tmp_path / "one")
    X, y = waves(features=2)
    arrays = write_arrays(tmp_path / "arrays.csv", X, y)
    asked = elman("evaluate", tmp_path / "one", arrays, "--sequence", "s", "--json")
    assert asked.code == 0, asked.err
    assert json.loads(asked.out)["accuracy"] == Classifier.load(tmp_path / "one").score(X, y)


def test_without_labels_there_are_answers_too(elman, steps, tmp_path):
    told = ["--id", "id", "--time", "day", "--values", "a"]
    elman("train", "classify", steps, *told, *QUICK, "--out", tmp_path / "run")
    (tmp_path / "new.csv").write_text("day,id,a\n2,x,0.5\n1,x,0.1\n1,y,0.3\n")
    header, *rows = rows_of(elman("predict", tmp_path / "run", tmp_path / "new.csv").out)
    assert header == ["id", "predicted", "probability_fast", "probability_slow"]
    expected = Classifier.load(tmp_path / "run").predict_proba([[0.1, 0.5], [0.3]])
    assert [row[0] for row in rows] == ["x", "y"]
    assert [float(row[2]) for row in rows] == pytest.approx(expected[:, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ([], "one of three ways: --text COL, --sequence COL, or all of --id COL --time COL"),
        (["--text", "kind", "--sequence", "s"], "one of three ways"),
        (["--id", "id", "--time", "day"], "one of three ways"),
        (["--id", "id", "--values", "a"], "one of three ways"),
        (["--id", "who", "--time", "day", "--values", "a"], "no column 'who'; the columns are"),
        (["--id", "id", "--time", "kind", "--values", "a"], "steps.csv: row 1 (line 2)"),
        (["--id", "id", "--time", "day", "--values", "kind"], "steps.csv: row 1 (line 2)"),
        (["--id", "kind", "--time", "day", "--values", "a"], "is that of row"),
        (["--sequence", "a"], "column 'a' should be a JSON array"),
    ],
)
def test_what_cannot_be_read(refused, steps, tmp_path, contents, told, message):
    before = contents(tmp_path)
    line = refused("train", "classify", steps, *told, *QUICK, "--out", tmp_path / "run")
    assert message in line
    assert contents(tmp_path) == before


def test_texts_for_a_model_of_numbers_and_numbers_for_one_of_texts(
    refused, elman, trained, terms, steps, tmp_path
):
    X, y = waves()
    arrays = write_arrays(tmp_path / "w.csv", X, y)
    elman("train", "classify", arrays, "--sequence", "s", *QUICK, "--out", tmp_path / "run")
    line = refused("predict", tmp_path / "run", terms, "--text", "term")
    assert f"{terms}: X[0] should be numbers" in line
    line = refused("predict", trained, arrays, "--sequence", "s")
    assert f"{arrays}: X[0] should be a text" in line
    told = ["--id", "id", "--time", "day", "--values", "a", "--values", "b"]
    line = refused("predict", tmp_path / "run", steps, *told)
    assert f"{steps}: X[0] should have 1 numbers at each step, got 2" in line
