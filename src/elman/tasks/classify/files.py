"""From a file to a trained classifier and an honest figure, and from a classifier to answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from elman.data import (
    Table,
    constant_within,
    grouped_sequences,
    grouped_split,
    joined_groups,
    parse_sequences,
)
from elman.data.numbers import shortened
from elman.errors import DataError, SettingError
from elman.tasks.classify.classifier import Classifier
from elman.tasks.classify.evidence import evidence_of
from elman.tasks.classify.inputs import identity_of
from elman.tasks.classify.metrics import Report
from elman.tasks.config import About, DataFacts, HeldOut
from elman.train import Report as Listener


@dataclass(frozen=True)
class Columns:
    """Which columns of a file matter.

    Attributes:
        text: of texts; or
        sequence: of JSON arrays of numbers; or
        id, time, values: of rows that each hold one step of a sequence: whose it is, when it
            was, and its numbers.
        label: the class.
        group: rows with an equal value stay together.
    """

    text: str | None = None
    label: str | None = None
    group: str | None = None
    sequence: str | None = None
    id: str | None = None
    time: str | None = None
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        long = (self.id is not None, self.time is not None, bool(self.values))
        ways = (self.text is not None) + (self.sequence is not None) + any(long)
        if ways != 1 or (any(long) and not all(long)):
            raise SettingError(
                "say what to read in one of three ways: --text COL, --sequence COL, or all of "
                "--id COL --time COL --values COL..."
            )

    @classmethod
    def of(cls, model: Classifier, **asked: Any) -> "Columns":
        """Those a model learned from, but for the ones asked for.

        Raises:
            DataError: the model does not say, and neither does the caller.
        """
        asked = {name: value for name, value in asked.items() if value}
        ways = ({"text"}, {"sequence"}, {"id", "time", "values"})
        known: dict[str, Any] = dict(model.about.columns)
        for way in ways:
            if way & asked.keys():  # another way than in training replaces it
                known = {n: v for n, v in known.items() if n in way | {"label", "group"}}
        known |= asked
        known = {n: tuple(v) if isinstance(v, list) else v for n, v in known.items()}
        if not any(way <= known.keys() for way in ways):
            raise DataError(
                "the model does not say which column holds the text; add --text COL, "
                "--sequence COL, or --id COL --time COL --values COL..."
            )
        return cls(**known)

    def as_dict(self) -> dict[str, str | list[str]]:
        """Those that are there, for config.json."""
        there = {name: value for name, value in vars(self).items() if value}
        return {n: list(v) if isinstance(v, tuple) else v for n, v in there.items()}


@dataclass(frozen=True)
class Examples:
    """Labelled inputs of a file.

    Attributes:
        inputs, labels: one each a row.
        groups: rows with an equal value belong together; what tells the inputs where no column
            says.
    """

    inputs: list[Any]
    labels: list[str]
    groups: list[Any]

    def subset(self, rows: Sequence[int] | np.ndarray) -> "Examples":
        """Some of the rows."""
        return Examples(
            [self.inputs[i] for i in rows],
            [self.labels[i] for i in rows],
            [self.groups[i] for i in rows],
        )


@dataclass(frozen=True)
class Outcome:
    """What a training on a file came to.

    Attributes:
        report: figures on the rows held out.
        held_out: those rows.
        answers: what the model says of each.
    """

    report: Report
    held_out: Examples
    answers: list[str]


def read_inputs(table: Table, columns: Columns) -> tuple[Table, list[Any]]:
    """What there is to classify, and a table with one row for each of them.

    That table is the file's own, or, where each row holds one step, one of the ids.
    """
    if columns.text is not None:
        texts = table.column(columns.text)
        for row, record in enumerate(table.records or []):
            if isinstance(record[columns.text], (dict, list)):
                raise DataError(
                    f"{table.place(row)}: column {columns.text!r} should be a text, got "
                    f"{shortened(texts[row])}; arrays of numbers are read with --sequence"
                )
        return table, texts
    if columns.sequence is not None:
        return table, parse_sequences(table, columns.sequence)
    assert columns.id is not None
    assert columns.time is not None
    found = grouped_sequences(table, columns.id, columns.time, list(columns.values))
    kept = [name for name in (columns.label, columns.group) if name in table.columns]
    values = [found.ids, *(constant_within(found, table, name) for name in kept if name)]
    rows = [list(row) for row in zip(*values, strict=True)]
    lines = [table.lines[of_id[0]] for of_id in found.rows]
    names = [columns.id, *(name for name in kept if name)]
    return replace(table, columns=names, rows=rows, lines=lines, records=None), found.sequences


def read_examples(table: Table, columns: Columns) -> Examples:
    """The labelled inputs of a table.

    Raises:
        DataError: a column is missing, or a text or label is empty; names the row.
    """
    units, inputs = read_inputs(table, columns)
    if columns.label is None:
        raise DataError(f"{table.path}: nothing says which column holds the label; add --label COL")
    labels = units.column(columns.label)
    for name, values in ((columns.text, inputs), (columns.label, labels)):
        for row, value in enumerate(values if name else []):
            if isinstance(value, str) and not value:
                raise DataError(
                    f"{units.place(row)}: column {name!r} is empty; fill it in or remove the row"
                )
    groups = units.column(columns.group) if columns.group else list(map(identity_of, inputs))
    return Examples(inputs, labels, groups)


def train_on_table(
    model: Classifier,
    table: Table,
    columns: Columns,
    hold_out: float,
    report: Listener | None = None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
) -> Outcome:
    """Hold out whole groups, train on the rest, judge on what was held out.

    What was learned of file and figures is put into `model.about`.

    Raises:
        DataError, TrainingError: as `read_examples` and `Classifier.fit`.
    """
    examples = read_examples(table, columns)
    classes = sorted(set(examples.labels))
    if len(classes) < 2:
        raise DataError(
            f"{table.path}: column {columns.label!r} holds only one class, {classes[0]!r}; "
            "give rows of at least two"
        )
    try:
        same = [identity_of(value) for value in examples.inputs]
        groups = joined_groups(same, examples.groups)
        seed = model.random_state or 0
        stay, held = grouped_split(examples.labels, groups, hold_out, seed, "hold-out")
        known, unseen = examples.subset(stay), examples.subset(held)
        model.fit(
            known.inputs, known.labels, known.groups,
            report=report, checkpoint=checkpoint, resume=resume or False,
        )  # fmt: skip
    except DataError as error:
        raise DataError(f"{table.path}: {error}") from None
    probabilities = model.predict_proba(unseen.inputs)
    answers = model.classes_[probabilities.argmax(1)].tolist()
    truth = [classes.index(label) for label in unseen.labels]
    model.evidence_ = evidence_of(unseen.inputs, truth, probabilities, classes, "held out")
    result = Report.of(unseen.labels, answers, classes)
    what = "sequences" if columns.id else "rows"
    seen = f"{len(stay)} of {len(stay) + len(held)} {what}, whole groups drawn at random"
    model.about = About(
        columns=columns.as_dict(),
        data=DataFacts(file=table.path.name, sha256=table.sha256, rows=len(table.rows), seen=seen),
        held_out=HeldOut.model_validate(
            {"rows": result.rows, "accuracy": result.accuracy, "majority": result.majority}
        ),
    )
    return Outcome(result, unseen, answers)


def evaluate_on_table(model: Classifier, table: Table, columns: Columns) -> Report:
    """Judge a trained model on a labelled table.

    Raises:
        DataError: as `read_examples`, or a label is none of the model's classes.
    """
    columns = replace(columns, group=None)  # what belongs together matters in training alone
    examples = read_examples(table, columns)
    units = table if columns.id is None else read_inputs(table, columns)[0]
    classes = [str(c) for c in model.classes_.tolist()]
    for row, label in enumerate(examples.labels):
        if label not in classes:
            raise DataError(
                f"{units.place(row)}: label {label!r} is none of those the model knows, "
                f"{', '.join(map(repr, classes))}"
            )
    try:
        answers = [str(a) for a in model.predict(examples.inputs).tolist()]
    except DataError as error:
        raise DataError(f"{table.path}: {error}") from None
    return Report.of(examples.labels, answers, classes)


def answer_columns(model: Classifier) -> list[str]:
    """What `answers` adds: "predicted", and "probability_CLASS" for each class."""
    return ["predicted", *(f"probability_{c}" for c in model.classes_.tolist())]


def answers(model: Classifier, table: Table, columns: Columns) -> tuple[Table, list[list[Any]]]:
    """The answers to a table or a block of one.

    Returns:
        A table with one row for each answer, and the values for `answer_columns`.

    Raises:
        DataError: the columns do not fit the table or the model.
    """
    units, inputs = read_inputs(table, columns)
    try:
        probabilities = model.predict_proba(inputs)
    except DataError as error:
        raise DataError(f"{table.path}: {error}") from None
    best = model.classes_[probabilities.argmax(1)].tolist()
    return units, [[a, *p] for a, p in zip(best, probabilities.tolist(), strict=True)]
