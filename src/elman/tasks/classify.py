"""From a file to a trained classifier and an honest figure, and from a classifier to answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from elman.data import Table, grouped_split, joined_groups
from elman.errors import DataError
from elman.tasks.classifier import Classifier
from elman.tasks.metrics import Report
from elman.tasks.rundir import About, DataFacts, HeldOut
from elman.train import Progress


@dataclass(frozen=True)
class Columns:
    """Which columns of a file matter: the text, its label, and what must stay together."""

    text: str
    label: str
    group: str | None = None


@dataclass(frozen=True)
class Examples:
    """Labelled texts of a file.

    Attributes:
        texts, labels: one each a row.
        groups: rows with an equal value belong together; the texts where no column says.
    """

    texts: list[str]
    labels: list[str]
    groups: list[str]

    def subset(self, rows: Sequence[int] | np.ndarray) -> "Examples":
        """Some of the rows."""
        return Examples(
            [self.texts[i] for i in rows],
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


def read_examples(table: Table, columns: Columns) -> Examples:
    """The labelled texts of a table.

    Raises:
        DataError: a column is missing, or a text or label is empty; names the row.
    """
    texts, labels = table.column(columns.text), table.column(columns.label)
    for name, values in ((columns.text, texts), (columns.label, labels)):
        for row, value in enumerate(values):
            if not value:
                raise DataError(
                    f"{table.place(row)}: column {name!r} is empty; fill it in or remove the row"
                )
    groups = table.column(columns.group) if columns.group else texts
    return Examples(texts, labels, groups)


def train_on_table(
    model: Classifier,
    table: Table,
    columns: Columns,
    hold_out: float,
    report: Callable[[Progress], None] | None = None,
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
        groups = joined_groups(examples.texts, examples.groups)
        stay, held = grouped_split(examples.labels, groups, hold_out, model.random_state)
        known, unseen = examples.subset(stay), examples.subset(held)
        model.fit(known.texts, known.labels, known.groups, report=report)
    except DataError as error:
        raise DataError(f"{table.path}: {error}") from None
    answers = model.predict(unseen.texts).tolist()
    result = Report.of(unseen.labels, answers, classes)
    model.about = About(
        columns={k: v for k, v in vars(columns).items() if v is not None},
        data=DataFacts(file=table.path.name, sha256=table.sha256, rows=len(examples.texts)),
        held_out=HeldOut(rows=result.rows, accuracy=result.accuracy, majority=result.majority),
    )
    return Outcome(result, unseen, answers)


def evaluate_on_table(model: Classifier, table: Table, columns: Columns) -> Report:
    """Judge a trained model on a labelled table.

    Raises:
        DataError: as `read_examples`, or a label is none of the model's classes.
    """
    examples = read_examples(table, columns)
    classes = [str(c) for c in model.classes_.tolist()]
    for row, label in enumerate(examples.labels):
        if label not in classes:
            raise DataError(
                f"{table.place(row)}: label {label!r} is none of those the model knows, "
                f"{', '.join(map(repr, classes))}"
            )
    answers = [str(a) for a in model.predict(examples.texts).tolist()]
    return Report.of(examples.labels, answers, classes)


def predicted_rows(
    model: Classifier, table: Table, text: str
) -> tuple[list[str], Iterator[list[object]]]:
    """A table with the answers beside it.

    Returns:
        The columns: those of the table, "predicted", and "probability_CLASS" for each class;
        and the rows.

    Raises:
        DataError: the text column is missing, or a new column's name is taken.
    """
    probabilities = model.predict_proba(table.column(text))
    added = ["predicted", *(f"probability_{c}" for c in model.classes_.tolist())]
    for name in added:
        if name in table.columns:
            raise DataError(f"{table.path}: there is a column {name!r} already; rename it")
    best = model.classes_[probabilities.argmax(1)].tolist()
    rows = (
        [*row, answer, *(f"{p:.6f}" for p in of_row)]
        for row, answer, of_row in zip(table.rows, best, probabilities.tolist(), strict=True)
    )
    return [*table.columns, *added], rows


def text_column(model: Classifier, asked: str | None) -> str:
    """The column of the texts: the one asked for, or else the one learned from."""
    return _column(model, "text", asked)


def label_column(model: Classifier, asked: str | None) -> str:
    """The column of the labels, likewise."""
    return _column(model, "label", asked)


def _column(model: Classifier, which: str, asked: str | None) -> str:
    name = asked or model.about.columns.get(which)
    if name is None:
        raise DataError(f"the model does not say which column holds the {which}; add --{which} COL")
    return name
