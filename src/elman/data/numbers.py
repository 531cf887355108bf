"""Columns of numbers."""

import math
import re

from elman.data.table import Table
from elman.errors import DataError

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def parse_number(text: str) -> float | None:
    """The finite number a text writes, or None.

    Blanks around it are allowed; separators of thousands, a comma for the point and "nan" are
    not: they would be read one way here and another way elsewhere.

    >>> parse_number(" -1.5e3 "), parse_number("1,5"), parse_number("nan"), parse_number("1e999")
    (-1500.0, None, None, None)
    """
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def parse_numbers(table: Table, column: str) -> list[float]:
    """The values of a column of numbers.

    Raises:
        DataError: there is no such column, or a value is no finite number; names the row.

    >>> from pathlib import Path
    >>> parse_numbers(Table(Path("f.csv"), ["x"], [["1"], ["-.5"]], [2, 3], ""), "x")
    [1.0, -0.5]
    """
    values: list[float] = []
    for row, text in enumerate(table.column(column)):
        value = parse_number(text)
        if value is None:
            where = f"{table.place(row)}: column {column!r}"
            if not text.strip():
                raise DataError(f"{where} is empty; fill it in or remove the row")
            raise DataError(
                f"{where} should be a finite number like -12.5, got {shortened(text)}; "
                "mend it or remove the row"
            )
        values.append(value)
    return values


def shortened(text: str) -> str:
    """A value as an error shows it: in quotes, and no longer than needed to find it.

    >>> shortened("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"
    """
    return repr(text if len(text) <= 40 else text[:37] + "...")
