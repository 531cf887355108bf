"""From a table of series to a trained forecaster and an honest figure, and on to forecasts."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from elman.data import Series, Table
from elman.errors import DataError
from elman.tasks.config import About, DataFacts, HeldOut
from elman.tasks.forecast.evidence import evidence_for
from elman.tasks.forecast.forecaster import Forecaster
from elman.tasks.forecast.inputs import TooShortError
from elman.tasks.forecast.judge import Evaluation
from elman.train import Report


@dataclass(frozen=True)
class Outcome:
    """What a training on a table came to.

    Attributes:
        evaluation: forecasts of the rows held out, from a rolling origin.
        seen, unseen: which rows the model learned from and which not, in words.
    """

    evaluation: Evaluation
    seen: str
    unseen: str


def train_on_series(
    model: Forecaster,
    series: Series,
    hold_out: float,
    report: Report | None = None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
) -> Outcome:
    """Hold out the last rows, train on those before, judge from a rolling origin.

    The intervals of the model then rest on the rows held out too. What was learned of file and
    figures is put into `model.about`.

    Raises:
        DataError, TrainingError: as `Forecaster.fit`.
    """
    names = answer_columns(series.columns)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"{series.path}: {twice[0]!r} would be both a column and the end of an interval in "
            "the forecasts; rename the column"
        )
    T = len(series.values)
    known = _known_rows(T, hold_out, model.horizon)
    try:
        model.fit(
            series.values[: max(known, 1)],
            columns=series.columns,
            report=report,
            checkpoint=checkpoint,
            resume=resume or False,
        )
    except TooShortError as error:
        whole = error.least
        while _known_rows(whole, hold_out, model.horizon) < error.least:
            whole += 1
        raise DataError(
            f"{series.path}: has {T} rows, {max(known, 0)} of them to learn from and the others "
            f"held out; to {error.task} at least {whole} in all are needed, {error.least} of them "
            "to learn from: give more rows, or a smaller horizon or season (--horizon, --season)"
        ) from None
    except DataError as error:
        raise DataError(f"{series.path}: {error}") from None
    evaluation = model.evaluate(series.values, first=known - 1)
    model.evidence_ = evidence_for(model, series.values, known - 1, "held out", series.labels)
    model.widen(series.values)
    stop = T - known
    seen, unseen = rows_in_words(series, 0, known), rows_in_words(series, known, T)
    figures: dict[str, Any] = {"rows": stop, **evaluation.as_dict()}
    columns: dict[str, str | list[str]] = {"target": series.columns}
    if series.time is not None:
        columns["time"] = series.time
    model.about = About(
        columns=columns,
        data=DataFacts(file=series.path.name, sha256=series.sha256, rows=T, seen=seen),
        held_out=HeldOut.model_validate(figures),
    )
    return Outcome(evaluation, seen, unseen)


def _known_rows(rows: int, hold_out: float, horizon: int) -> int:
    """How many rows there are to learn from; below 1 where there are none."""
    return rows - max(round(hold_out * rows), horizon)


def evaluate_on_series(model: Forecaster, series: Series) -> Evaluation:
    """Judge forecasts from a rolling origin: where a series begins with the rows learned from, of
    those that follow.

    Raises:
        DataError: as `Forecaster.evaluate`.
    """
    try:
        return model.evaluate(series.values)
    except DataError as error:
        raise DataError(f"{series.path}: {error}") from None


def rows_in_words(series: Series, first: int, end: int) -> str:
    """Which rows, counted from 1, and when they were.

    Args:
        series: the series.
        first, end: row numbers from 0, the last not among them.
    """
    when = ""
    if series.time is not None:
        when = f" ({series.labels[first]} to {series.labels[end - 1]})"
    return f"rows {first + 1} to {end}{when}"


def answer_columns(columns: list[str]) -> list[str]:
    """What `answers` adds: for each column the forecast and the ends of its interval."""
    return [f"{c}{part}" for c in columns for part in ("", "_lower", "_upper")]


def answers(
    model: Forecaster, table: Table, series: Series, steps: int
) -> tuple[Table, list[list[Any]]]:
    """The forecast that follows a series.

    Returns:
        A table with one row for each step to come, which holds when it is, and the values for
        `answer_columns`.

    Raises:
        DataError: the series is too short, or has other columns than learned.
    """
    try:
        following = model.predict(series.values)
        lower, upper = model.predict_interval(series.values)
    except DataError as error:
        raise DataError(f"{series.path}: {error}") from None
    labels = series.next_times(steps)
    name = series.time or "step"
    while name in answer_columns(model.columns_):
        name += "_"
    records = None
    if table.records is not None:  # of JSONL: a number stays one
        number = series.time is None or not isinstance(table.records[-1][series.time], str)
        records = [{name: json.loads(label) if number else label} for label in labels]
    to_come = replace(
        table,
        columns=[name],
        rows=[[label] for label in labels],
        lines=[table.lines[-1]] * steps,
        records=records,
    )
    parts = np.stack([following, lower, upper], axis=2)[:steps]  # (steps, C, 3)
    return to_come, parts.reshape(steps, -1).tolist()
