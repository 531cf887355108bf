"""Columns of numbers."""

import math
import re
import unicodedata
from collections.abc import Sequence

from elman.data.table import Table
from elman.errors import DataError

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# 1,234,567 or 1.234.567,8 or 1 234; and 1,5
_MARKED = re.compile(
    r"[+-]?([0-9]{1,3}([,.'\u2019 \u00a0\u202f_][0-9]{3})+([.,][0-9]+)?|[0-9]+,[0-9]+)"
)
_MISSING = {"", "-", "--", "?", ".", "na", "n/a", "#n/a", "null", "none", "nil", "missing"}


def first_bad(values: list[float], most: int = 8) -> str:
    """Numbers of which one is not finite, as a person can read them.

    >>> first_bad([1.0, math.nan]), first_bad([0.5] * 5 + [math.nan] * 763)
    ('[1.0, nan]', 'nan in place 6 of 768')
    """
    if len(values) <= most:
        return str(values)
    k = next(k for k, value in enumerate(values) if not math.isfinite(value))
    return f"{values[k]} in place {k + 1} of {len(values)}"


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
    texts = table.column(column)
    for row, text in enumerate(texts):
        value = parse_number(text)
        if value is None:
            where = f"{table.place(row)}: column {column!r}"
            if not text.strip():
                raise DataError(f"{where} is empty; fill it in or remove the row")
            raise DataError(
                f"{where} should be a finite number like -12.5, got {shortened(text)}; "
                f"{number_remedy(text, texts, 'mend it or remove the row')}"
            )
        values.append(value)
    return values


def number_remedy(text: str, column: Sequence[str], missing: str) -> str:
    """What to do about a text that is no finite number.

    Args:
        text: itself.
        column: the texts of its column.
        missing: the remedy where it stands for a value that is not there, or is not finite.

    >>> number_remedy("1,234.5", ["1,234.5"], "fill it in")
    'write it without thousands marks and with a decimal point, like 1234567.5'
    >>> number_remedy("up", ["up", "down"], "fill it in")
    'no value of the column is a number: name a column of numbers'
    >>> number_remedy("12 kg", ["11", "12 kg"], ""), number_remedy("NA", ["NA", "1"], "fill it in")
    ('write it as a number', 'fill it in')
    >>> number_remedy("１２", ["１２", "１３"], "fill it in")
    'write it with the digits 0 to 9, like 12'
    """
    if _stands_for_none(text):
        return missing
    narrow = unicodedata.normalize("NFKC", text).strip()  # of a keyboard for Chinese, say
    if narrow != text.strip() and parse_number(narrow) is not None:
        return f"write it with the digits 0 to 9, like {narrow}"
    if _MARKED.fullmatch(text.strip()):
        return "write it without thousands marks and with a decimal point, like 1234567.5"
    if not any(parse_number(other) is not None for other in column):
        return "no value of the column is a number: name a column of numbers"
    return "write it as a number"


def shortened(text: str) -> str:
    """A value as an error shows it: in quotes, and no longer than needed to find it.

    >>> shortened("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"
    """
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _stands_for_none(text: str) -> bool:
    """Whether a text says that there is no value, or one that is infinite."""
    text = text.strip().lower()
    try:
        return text in _MISSING or not math.isfinite(float(text))
    except ValueError:
        return False
