"""Sequences of numbers: one a row as a JSON array, or one value a row under an id and a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np

from elman.data.jsonlines import as_text, parse_json
from elman.data.numbers import parse_numbers, shortened
from elman.data.table import Table
from elman.data.times import parse_times
from elman.errors import DataError

_EXAMPLE = "write it like [1, 2, 3], or [[1, 2], [3, 4]] for two values a step"


@dataclass(frozen=True)
class Groups:
    """Sequences put together from rows.

    Attributes:
        ids: of the sequences, in the order in which they first appear.
        sequences: float64, (L_i, F): the steps in the order of time, the columns as asked for.
        rows: for each sequence, the numbers of its rows in the table, from 0, in that order.
    """

    ids: list[str]
    sequences: list[np.ndarray]
    rows: list[list[int]]


def parse_sequences(table: Table, column: str) -> list[np.ndarray]:
    """The sequences in a column of JSON arrays: [1, 2, 3], or [[1, 2], [3, 4]].

    The arrays may be the text of CSV fields, or values of a JSONL file.

    Returns:
        For each row a float64 array (L, F); F is 1 for arrays of numbers, and the same for all.

    Raises:
        DataError: there is no such column, or a row holds no such array or one with another F;
            names the row and the step.

    >>> from pathlib import Path
    >>> table = Table(Path("f.csv"), ["x"], [["[1, 2, 3]"], ["[4]"]], [2, 3], "")
    >>> [sequence.tolist() for sequence in parse_sequences(table, "x")]
    [[[1.0], [2.0], [3.0]], [[4.0]]]
    """
    sequences: list[np.ndarray] = []
    for row, text in enumerate(table.column(column)):
        what = f"{table.place(row)}: column {column!r}"
        if not text.strip():
            raise DataError(f"{what} is empty; fill it in or remove the row")
        value = text if table.records is None else table.records[row][column]
        if isinstance(value, str):
            value = parse_json(value, what)
        sequence = _array(value)
        if sequence is None:
            raise DataError(f"{what} {_fault(value)}")
        if sequences and sequence.shape[1] != sequences[0].shape[1]:
            raise DataError(
                f"{what} has {sequence.shape[1]} values a step where {table.row_name(0)} has "
                f"{sequences[0].shape[1]}; give every row as many"
            )
        sequences.append(sequence)
    return sequences


def grouped_sequences(table: Table, by: str, time: str, values: Sequence[str]) -> Groups:
    """The sequences of a table with one step a row.

    Args:
        table: its rows in any order.
        by: the column of the ids: rows with an equal one are one sequence.
        time: the column that orders them, as for `parse_times`.
        values: the columns of the numbers.

    Raises:
        DataError: a column is missing, an id is empty, a time or a number cannot be read, or
            two rows of an id have equal times; names the row or rows.

    >>> from pathlib import Path
    >>> rows = [["a", "2", "7"], ["b", "1", "8"], ["a", "1", "9"]]
    >>> table = Table(Path("f.csv"), ["id", "t", "x"], rows, [2, 3, 4], "")
    >>> groups = grouped_sequences(table, "id", "t", ["x"])
    >>> groups.ids, groups.rows, groups.sequences[0].tolist()
    (['a', 'b'], [[2, 0], [1]], [[9.0], [7.0]])
    """
    if not values:
        raise DataError(f"{table.path}: no column of values is named; name at least one")
    members: dict[str, list[int]] = {}
    for row, name in enumerate(table.column(by)):
        if not name.strip():
            raise DataError(
                f"{table.place(row)}: column {by!r} is empty; fill it in or remove the row"
            )
        members.setdefault(name, []).append(row)
    times = parse_times(table, time).values
    numbers = np.column_stack([parse_numbers(table, name) for name in values])  # (N, F)
    for name, rows in members.items():
        rows.sort(key=times.__getitem__)
        for before, row in pairwise(rows):
            if times[before] == times[row]:
                raise DataError(
                    f"{table.place(row)}: time {table.column(time)[row]!r} of {name!r} is that "
                    f"of {table.row_name(before)} too; remove one of them"
                )
    return Groups(list(members), [numbers[rows] for rows in members.values()], [*members.values()])


def constant_within(groups: Groups, table: Table, column: str) -> list[str]:
    """The value of a column for each sequence, where all its rows should have the same.

    Args:
        groups: as `grouped_sequences` made them.
        table: from which it did.
        column: for example that of the labels.

    Raises:
        DataError: there is no such column, or it differs inside a sequence; names both rows.

    >>> from pathlib import Path
    >>> rows = [["a", "1", "7", "up"], ["a", "2", "8", "up"]]
    >>> table = Table(Path("f.csv"), ["id", "t", "x", "label"], rows, [2, 3], "")
    >>> constant_within(grouped_sequences(table, "id", "t", ["x"]), table, "label")
    ['up']
    """
    texts = table.column(column)
    for name, rows in zip(groups.ids, groups.rows, strict=True):
        first, *others = sorted(rows)
        for row in others:
            if texts[row] != texts[first]:
                raise DataError(
                    f"{table.place(row)}: column {column!r} is {shortened(texts[row])} where "
                    f"{table.row_name(first)} of the same id, {name!r}, has "
                    f"{shortened(texts[first])}; give an id one value"
                )
    return [texts[rows[0]] for rows in groups.rows]


def _array(value: object) -> np.ndarray | None:
    """A JSON value as (L, F), or None."""
    if not isinstance(value, list) or not value:
        return None
    steps = value if isinstance(value[0], list) else [value]
    if set(map(type, steps)) != {list} or len(set(map(len, steps))) > 1 or not steps[0]:
        return None
    if not set(map(type, chain.from_iterable(steps))) <= {int, float}:
        return None
    try:
        array = np.array(value, dtype=np.float64)
    except OverflowError:  # an int beyond all floats
        return None
    return array.reshape(len(value), -1) if np.isfinite(array).all() else None


def _fault(value: object) -> str:
    """What is wrong with a JSON value that is no (L, F)."""
    if not isinstance(value, list):
        return f"should be a JSON array, got {_shown(value)}; {_EXAMPLE}"
    if not value:
        return "is an array without a step; give it one or remove the row"
    nested = isinstance(value[0], list)
    for k, step in enumerate(value, start=1):
        if nested and not isinstance(step, list):
            return f"has {_shown(step)} at step {k} where step 1 is an array; {_EXAMPLE}"
        if nested and not step:
            return f"has no value at step {k}; {_EXAMPLE}"
        if nested and len(step) != len(value[0]):
            return (
                f"has {len(step)} values at step {k} where step 1 has {len(value[0])}; "
                "give every step as many"
            )
        for number in step if nested else [step]:
            if not _is_finite(number):
                return f"should have finite numbers, got {_shown(number)} at step {k}; {_EXAMPLE}"
    raise AssertionError(value)


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)
    except OverflowError:
        return False


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return f"the string {shortened(value)}"
    text = as_text(value) or "null"
    return text if len(text) <= 40 else text[:37] + "..."
