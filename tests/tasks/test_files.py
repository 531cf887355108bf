"""From a file to a classifier and its figures: what is held out is never learned from."""

import csv
import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elman import Classifier
from elman.data import Table, row_writer
from elman.errors import DataError, SettingError
from elman.tasks.classify.files import (
    Columns,
    answer_columns,
    answers,
    evaluate_on_table,
    read_examples,
    train_on_table,
)
from elman.tasks.classify.metrics import Report

COLUMNS = Columns("term", "label", "group")


@pytest.fixture
def table(data, tmp_path):
    path = tmp_path / "terms.csv"
    path.write_text("the bytes of the file are hashed")
    groups = ["".join(sorted(text)) for text in data[0]]  # ten groups of six
    rows = [list(row) for row in zip(*data, groups, strict=True)]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Table(path, ["term", "label", "group"], rows, list(range(2, 62)), digest)


def written(model, table, columns):
    """The answers as a CSV file has them."""
    added, stream = answer_columns(model), io.StringIO(newline="")
    units, rows = answers(model, table, columns)
    row_writer(stream, "csv", units.columns, added, table.path).write(units, rows)
    stream.seek(0)
    return list(csv.reader(stream))


def test_training_on_a_table(table, small):
    model = Classifier(**small)
    listened = []
    outcome = train_on_table(model, table, COLUMNS, 0.2, listened.append)
    held = outcome.held_out
    assert len(held.inputs) in (12, 18)  # two or three groups of ten
    known = [row for row in table.rows if row[0] not in held.inputs]
    assert {row[2] for row in known}.isdisjoint(held.groups)
    assert len(known) + len(held.inputs) == 60
    assert outcome.answers == model.predict(held.inputs).tolist()
    right = np.mean([a == b for a, b in zip(outcome.answers, held.labels, strict=True)])
    assert outcome.report.accuracy == right
    assert outcome.report.rows == len(held.inputs)
    about = model.about
    assert about.columns == {"text": "term", "label": "label", "group": "group"}
    assert about.data.file == "terms.csv"
    assert about.data.rows == 60
    assert about.data.sha256 == hashlib.sha256(table.path.read_bytes()).hexdigest()
    assert about.held_out.accuracy == right
    assert about.held_out.rows == len(held.inputs)
    assert listened


def test_evaluation_and_predictions(table, fitted):
    report = evaluate_on_table(fitted, table, COLUMNS)
    texts, labels, _ = zip(*table.rows, strict=True)
    assert report.accuracy == fitted.score(texts, labels)
    assert report.confusion.sum() == 60
    columns, *rows = written(fitted, table, COLUMNS)
    assert columns == [
        "term",
        "label",
        "group",
        "predicted",
        "probability_fall",
        "probability_rise",
    ]
    assert [row[:3] for row in rows] == table.rows
    assert [row[3] for row in rows] == fitted.predict(texts).tolist()
    assert [[float(p) for p in row[4:]] for row in rows] == fitted.predict_proba(texts).round(
        6
    ).tolist()


def changed(table, row, column, value):
    rows = [list(r) for r in table.rows]
    rows[row][table.columns.index(column)] = value
    return replace(table, rows=rows)


@pytest.mark.parametrize("column", ["term", "label"])
def test_an_empty_field_names_its_place(table, column):
    message = rf"terms\.csv: row 6 \(line 7\): column '{column}' is empty; fill it in or remove"
    with pytest.raises(DataError, match=message):
        read_examples(changed(table, 5, column, ""), COLUMNS)


def test_columns_that_are_not_there(table, fitted):
    for columns in (
        Columns("text", "label"),
        Columns("term", "class"),
        Columns("term", "label", "g"),
    ):
        with pytest.raises(
            DataError, match=r"terms\.csv: no column '.*'; the columns are 'term', "
        ):
            train_on_table(Classifier(), table, columns, 0.2)
    with pytest.raises(DataError, match=r"terms\.csv: no column 'text'"):
        answers(fitted, table, Columns("text"))


def test_one_class_and_too_few_rows_name_the_file(table):
    rows = [[text, "same", group] for text, _, group in table.rows]
    one = replace(table, rows=rows)
    with pytest.raises(DataError, match=r"terms\.csv: column 'label' holds only one class, 'same'"):
        train_on_table(Classifier(), one, COLUMNS, 0.2)
    few = replace(table, rows=[["ab", "x", "1"], ["cd", "y", "2"]], lines=[2, 3])
    with pytest.raises(DataError, match=r"terms\.csv: too few rows or groups .*give more rows"):
        train_on_table(Classifier(), few, COLUMNS, 0.2)


def test_too_few_rows_left_for_stopping_name_the_file(table):
    """Four rows suffice to hold two out, but not to hold others out of the two that stay."""
    rows = [[t, t[0], t] for t in ("ab", "ac", "ba", "bc")]
    few = replace(table, rows=rows, lines=[2, 3, 4, 5])
    with pytest.raises(DataError, match=r"terms\.csv: too few rows or groups .*give more rows"):
        train_on_table(Classifier(), few, COLUMNS, 0.5)


def test_a_label_never_seen(table, fitted):
    with pytest.raises(
        DataError, match=r"row 4 \(line 5\): label 'odd' is none of .*'fall', 'rise'"
    ):
        evaluate_on_table(fitted, changed(table, 3, "label", "odd"), COLUMNS)


@pytest.mark.parametrize("name", ["predicted", "probability_rise"])
def test_a_column_that_is_taken(table, fitted, name):
    taken = replace(table, columns=["term", name, "group"])
    with pytest.raises(DataError, match=rf"terms\.csv: there is a column '{name}' already; rename"):
        written(fitted, taken, Columns("term"))


def test_which_columns(table, small, fitted):
    model = Classifier(**small)
    train_on_table(model, table, COLUMNS, 0.2)
    assert Columns.of(model) == COLUMNS
    asked = Columns.of(model, text="other", label="another")
    assert asked == Columns("other", "another", "group")
    assert Columns.of(model, text=None, values=[]) == COLUMNS
    assert Columns.of(model, sequence="s") == Columns(None, "label", "group", sequence="s")
    steps = Columns.of(model, id="i", time="t", values=["a", "b"])
    assert steps == Columns(None, "label", "group", None, "i", "t", ("a", "b"))
    model.about.columns = steps.as_dict()
    assert Columns.of(model) == steps
    assert Columns.of(model, values=["c"]) == replace(steps, values=("c",))
    assert Columns.of(fitted, text="term") == Columns("term")
    for nothing in ({}, {"label": "label"}, {"id": "i"}, {"id": "i", "time": "t"}):
        with pytest.raises(
            DataError, match="does not say which column holds the text; add --text COL, --sequence"
        ):
            Columns.of(fitted, **nothing)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"text": "t", "sequence": "s"},
        {"text": "t", "id": "i", "time": "t", "values": ("v",)},
        {"id": "i", "time": "t"},
        {"values": ("v",)},
        {"sequence": "s", "time": "t"},
    ],
    ids=str,
)
def test_what_to_read_is_said_in_one_way(columns):
    with pytest.raises(SettingError, match="one of three ways: --text COL, --sequence COL, or all"):
        Columns(label="label", **columns)


def test_nothing_says_which_column_holds_the_label(table, fitted):
    for use in (evaluate_on_table, lambda model, *told: train_on_table(model, *told, 0.2)):
        with pytest.raises(DataError, match="which column holds the label; add --label COL"):
            use(Classifier() if use is not evaluate_on_table else fitted, table, Columns("term"))


def test_the_figures_by_hand():
    truth, answers = list("aaaabbc"), list("aabcbbb")
    report = Report.of(truth, answers, list("abcd"))
    assert report.confusion.tolist() == [[2, 1, 1, 0], [0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert report.rows == 7
    assert report.accuracy == pytest.approx(4 / 7)
    assert report.majority == pytest.approx(4 / 7)
    assert report.precision.tolist() == pytest.approx([1, 2 / 4, 0, 0])
    assert report.recall.tolist() == pytest.approx([2 / 4, 1, 0, 0])
    assert report.f1.tolist() == pytest.approx([2 / 3, 2 / 3, 0, 0])


def test_the_file_changed_under_way(table, small):
    """The hash is of the bytes that were read, not of what lies there an hour later."""
    before = hashlib.sha256(table.path.read_bytes()).hexdigest()
    model = Classifier(**small)
    gone = Path(table.path)

    def edit(progress):
        if progress.record:
            gone.unlink(missing_ok=True)

    train_on_table(model, table, COLUMNS, 0.2, edit)
    assert model.about.data.sha256 == before
