"""Rows of JSONL files: one JSON object a line, all with the same keys."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from elman.data.delimited import Row, check_columns
from elman.errors import DataError


def json_rows(path: Path, lines: Iterable[str]) -> tuple[list[str], Iterator[Row]]:
    r"""The columns, which are the keys of the first object, and the rows of a file.

    Args:
        path: for the errors.
        lines: of the file.

    Raises:
        DataError: a line is no JSON object, or its keys are not those of the first.

    >>> columns, rows = json_rows(Path("f.jsonl"), ['{"a": 1.5, "b": null}\n'])
    >>> columns, list(rows)
    (['a', 'b'], [Row(values=['1.5', ''], line=1, record={'a': 1.5, 'b': None})])
    """
    rows = _rows(path, lines)
    first = next(rows)
    return list(first.record or ()), chain([first], rows)


def parse_json(text: str, what: str) -> object:
    """A JSON value, or an error that begins with `what` and says where in the text it is wrong.

    Stricter than Python's own: the same key twice in an object would lose a value, and NaN and
    Infinity are no JSON; a file written with them cannot be read elsewhere.

    >>> parse_json('[1, 2', "terms.jsonl: row 3 (line 3)")
    Traceback (most recent call last):
    elman.errors.DataError: terms.jsonl: row 3 (line 3) is not JSON: Expecting ',' delimiter at
    character 6
    >>> parse_json('[NaN]', "terms.jsonl: row 3 (line 3)")
    Traceback (most recent call last):
    elman.errors.DataError: terms.jsonl: row 3 (line 3) is not JSON: NaN stands for no value there;
    write null, or leave the row out
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        wrong = f"is not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}"
        raise DataError(f"{what} {wrong}") from None
    except _RefusedError as error:
        raise DataError(f"{what} {error}") from None
    except ValueError:  # Python's own limit, against numbers that take hours to read
        raise DataError(f"{what} holds a number with thousands of digits; shorten it") from None
    except RecursionError:
        raise DataError(f"{what} is nested too deeply") from None


def as_text(value: object) -> str:
    """A JSON value as the text of a field: a string is itself, null is empty.

    >>> as_text("头"), as_text(None), as_text(True), as_text(["头", 1.5])
    ('头', '', 'true', '["头", 1.5]')
    """
    if value is None:
        return ""
    if type(value) is int:
        return str(value)  # far quicker than by the encoder
    return value if isinstance(value, str) else _ENCODER.encode(value)


class _RefusedError(ValueError):
    """JSON for Python, but not for elman."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _RefusedError(f"has the key {twice!r} twice; rename or remove one")
    return record


def _no_constant(name: str) -> None:
    raise _RefusedError(
        f"is not JSON: {name} stands for no value there; write null, or leave the row out"
    )


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False)


def _rows(path: Path, lines: Iterable[str]) -> Iterator[Row]:
    columns: list[str] = []
    count = 0
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        count += 1
        where = f"{path}: row {count} (line {number})"
        record = parse_json(text, where)
        if not isinstance(record, dict):
            raise DataError(f"{where} should be a JSON object, got {type(record).__name__}")
        if not record:
            raise DataError(f"{where} has no keys; give it some or remove it")
        if not columns:
            columns = list(record)
            check_columns(path, columns)
        if len(record) != len(columns) or not all(name in record for name in columns):
            odd = sorted(set(record) ^ set(columns))[0]
            raise DataError(f"{where} should have the keys of the first row; {odd!r} differs")
        yield Row([as_text(record[name]) for name in columns], number, record)
