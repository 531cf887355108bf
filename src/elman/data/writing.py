"""Answers beside the rows they belong to, as CSV, TSV or JSONL."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO, get_args

import numpy as np

from elman.data.delimited import DELIMITERS, delimited_writer
from elman.data.jsonlines import as_text
from elman.data.kinds import Kind
from elman.data.table import Table
from elman.errors import DataError, SettingError


class RowWriter(Protocol):
    """What writes tables with answers beside them, one after the other."""

    def write(self, table: Table, answers: Sequence[Sequence[object]]) -> None:
        """Write the rows of a table, each with the answers to it.

        Raises:
            DataError: the table has other columns than the output, or holds what the kind of
                output cannot.
        """


def row_writer(
    stream: TextIO,
    kind: Kind,
    columns: Sequence[str],
    added: Sequence[str],
    source: Path | None = None,
    form: str = ".6f",
) -> RowWriter:
    """A writer of rows with answers beside them.

    CSV and TSV begin with the names of the columns.
    A line of JSONL is the record as it was read, its types kept, with the answers as JSON values
    added; rows that come from CSV or TSV are strings there.

    Args:
        stream: a text stream that leaves line ends as they are (`newline=""`).
        kind: of the output.
        columns: those of the tables to come.
        added: the names of the answers.
        source: the file of the columns, for the error.
        form: of the floats among the answers in CSV and TSV. Default: ".6f".

    Raises:
        DataError: a name to add is that of a column.

    >>> import sys
    >>> table = Table(Path("f.csv"), ["a"], [["x,y"], ["z"]], [2, 3], "")
    >>> answers = [["up", 0.75], ["down", 0.5]]
    >>> row_writer(sys.stdout, "csv", ["a"], ["predicted", "p"]).write(table, answers)
    a,predicted,p
    "x,y",up,0.750000
    z,down,0.500000
    >>> row_writer(sys.stdout, "jsonl", ["a"], ["predicted", "p"]).write(table, answers)
    {"a": "x,y", "predicted": "up", "p": 0.75}
    {"a": "z", "predicted": "down", "p": 0.5}
    """
    seen = set(columns)
    for name in added:
        if name in seen:
            where = "" if source is None else f"{source}: "
            raise DataError(f"{where}there is a column {name!r} already; rename it")
        seen.add(name)
    if kind in DELIMITERS:
        return _DelimitedWriter(stream, DELIMITERS[kind], columns, added, form)
    if kind == "jsonl":
        return _JsonWriter(stream, columns, added)
    raise SettingError(f"row_writer: kind should be one of {get_args(Kind)}, got {kind!r}")


class _DelimitedWriter:
    def __init__(
        self,
        stream: TextIO,
        delimiter: str,
        columns: Sequence[str],
        added: Sequence[str],
        form: str,
    ) -> None:
        self._write = delimited_writer(stream, delimiter)
        self._columns, self._added, self._form = list(columns), list(added), form
        self._begun = False

    def write(self, table: Table, answers: Sequence[Sequence[object]]) -> None:
        order = _order(table, self._columns)
        if not self._begun:
            self._write([*self._columns, *self._added])
            self._begun = True
        for row, of_row in zip(table.rows, answers, strict=True):
            _count(of_row, self._added)
            self._write([*(row[k] for k in order), *(_field(a, self._form) for a in of_row)])


class _JsonWriter:
    def __init__(self, stream: TextIO, columns: Sequence[str], added: Sequence[str]) -> None:
        self._stream, self._columns, self._added = stream, list(columns), list(added)

    def write(self, table: Table, answers: Sequence[Sequence[object]]) -> None:
        _order(table, self._columns)
        for number, (row, of_row) in enumerate(zip(table.rows, answers, strict=True)):
            _count(of_row, self._added)
            record: dict[str, object] = dict(zip(table.columns, row, strict=True))
            if table.records is not None:
                record = dict(table.records[number])
            record.update(zip(self._added, map(_plain, of_row), strict=True))
            try:
                line = _ENCODER.encode(record)
            except ValueError:
                raise DataError(
                    f"{table.place(number)} or the answer to it holds a number that JSON cannot "
                    "(infinite, or NaN); write it as a string, or give -o a .csv file"
                ) from None
            self._stream.write(line + "\n")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def _order(table: Table, columns: list[str]) -> list[int]:
    """Where in a table's rows the columns of the output are."""
    if set(table.columns) != set(columns):
        odd = sorted(set(table.columns) ^ set(columns))[0]
        has, other = ("has", "have not") if odd in table.columns else ("lacks", "have")
        raise DataError(
            f"{table.path}: {has} a column {odd!r} that the rows before it {other}; "
            "write files with other columns to another output"
        )
    return [table.columns.index(name) for name in columns]


def _count(answers: Sequence[object], added: list[str]) -> None:
    if len(answers) != len(added):
        raise ValueError(f"expected {len(added)} answers a row, {added}, got {len(answers)}")


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _field(value: object, form: str) -> str:
    plain = _plain(value)
    return format(plain, form) if isinstance(plain, float) else as_text(plain)
