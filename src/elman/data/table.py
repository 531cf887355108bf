"""Files of rows: CSV, TSV and JSONL, with errors that name file, row and remedy."""

import codecs
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from elman.errors import DataError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_Content = tuple[list[str], list[list[str]], list[int]]  # columns, rows, lines


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns.

    Attributes:
        path: the file they came from.
        columns: the names, in the order of the file.
        rows: one list of strings a row, as long as `columns`.
        lines: the line of the file on which each row ends, counted from 1.
        sha256: of the file's bytes, in hexadecimal.
    """

    path: Path
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]
    sha256: str

    def column(self, name: str) -> list[str]:
        """The values of a column.

        Raises:
            DataError: there is no such column; the message lists the ones there are.
        """
        if name not in self.columns:
            there = ", ".join(map(repr, self.columns))
            hint = ""
            if len(self.columns) == 1 and ";" in self.columns[0]:
                hint = "; the file seems to be separated by semicolons: save it with commas"
            raise DataError(f"{self.path}: no column {name!r}; the columns are {there}{hint}")
        k = self.columns.index(name)
        return [row[k] for row in self.rows]

    def place(self, row: int) -> str:
        """Where row number `row`, from 0, stands: file, row and line as a person counts."""
        return f"{self.path}: row {row + 1} (line {self.lines[row]})"


def read_table(path: str | Path, encoding: str = "utf-8") -> Table:
    """Read a .csv, .tsv or .jsonl file whole.

    Args:
        path: the file. A CSV or TSV file begins with a line of column names; a JSONL file
            has one JSON object a line, and the columns of the first.
        encoding: of the text. A byte order mark is dropped. Default: "utf-8".

    Raises:
        DataError: the file is missing, empty, not in that encoding, not text, or a row does
            not fit the columns.
    """
    path = Path(path)
    data = _read(path)
    text, sha256 = decode(data, path, encoding), hashlib.sha256(data).hexdigest()
    suffix = path.suffix.lower()
    if suffix in _DELIMITERS:
        content = _parse_delimited(path, text, _DELIMITERS[suffix])
    elif suffix in (".jsonl", ".ndjson"):
        content = _parse_json_lines(path, text)
    else:
        raise DataError(f"{path}: unknown kind of file; name it .csv, .tsv or .jsonl")
    table = Table(path, *content, sha256)
    if not table.rows:
        raise DataError(f"{path}: no rows below the column names; add some")
    _check_characters(table)
    return table


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def decode(data: bytes, path: Path, encoding: str) -> str:
    """The text of a file's bytes, or an error that says which is wrong and which flag helps."""
    try:
        codec = codecs.lookup(encoding).name
        if codec == "utf-8" and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise DataError(f"{path}: this is UTF-16 text; say so with --encoding utf-16")
        text = data.decode(codec).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{data[error.start]:02x} on line {line} (offset {error.start})"
        other = "gb18030" if codec == "utf-8" else "utf-8"
        raise DataError(
            f"{path}: {byte} is not {codec}; if the file is in another encoding, say which, "
            f"for example --encoding {other}"
        ) from None
    except (LookupError, UnicodeError):
        raise DataError(f"{path}: unknown encoding {encoding!r}; try utf-8 or gb18030") from None
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}: a NUL character on line {line}; this is not a text file")
    return text


def write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows under their column names, quoted where needed, with LF line ends."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _parse_delimited(path: Path, text: str, delimiter: str) -> _Content:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    limit = csv.field_size_limit(len(text) + 1)  # the csv module's own limit is 131,072
    columns: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if not row:
                continue  # a blank line
            if not columns:
                columns = [name.strip() for name in row]
                _check_columns(path, columns)
                continue
            if len(row) != len(columns):
                raise DataError(
                    f"{path}: row {len(rows) + 1} (line {reader.line_num}) has {len(row)} fields "
                    f"where the first line names {len(columns)} columns; "
                    "put quotes around a field that holds a separator"
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        began = lines[-1] + 1 if lines else 1
        raise DataError(
            f"{path}: line {reader.line_num} cannot be read as {path.suffix[1:].upper()}: {error}; "
            f"look for a quote that is not closed or not doubled from line {began} on"
        ) from None
    finally:
        csv.field_size_limit(limit)
    return columns, rows, lines


def _parse_json_lines(path: Path, text: str) -> _Content:
    columns: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}: row {len(rows) + 1} (line {number})"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where} is not JSON: {error}") from None
        except RecursionError:
            raise DataError(f"{where} is nested too deeply") from None
        if not isinstance(record, dict):
            raise DataError(f"{where} should be a JSON object, got {type(record).__name__}")
        if not record:
            raise DataError(f"{where} has no keys; give it some or remove it")
        if not columns:
            columns = list(record)
            _check_columns(path, columns)
        if set(record) != set(columns):
            odd = sorted(set(record) ^ set(columns))[0]
            raise DataError(f"{where} should have the keys of the first row; {odd!r} differs")
        rows.append([_as_text(record[name]) for name in columns])
        lines.append(number)
    return columns, rows, lines


def half_a_character(text: str) -> bool:
    """Whether a text holds a lone surrogate, which no file can hold."""
    return _SURROGATE.search(text) is not None


def _check_characters(table: Table) -> None:
    """JSON, and a few encodings, can name halves of characters."""
    if any(map(half_a_character, table.columns)):
        raise DataError(f"{table.path}: a column's name holds half a character (a lone surrogate)")
    for row, values in enumerate(table.rows):
        for name, value in zip(table.columns, values, strict=True):
            if half_a_character(value):
                raise DataError(
                    f"{table.place(row)}: column {name!r} holds half a character (a lone "
                    "surrogate); write it anew"
                )


def _check_columns(path: Path, columns: list[str]) -> None:
    for name in columns:
        if not name:
            raise DataError(f"{path}: a column on the first line has no name; give it one")
        if columns.count(name) > 1:
            raise DataError(f"{path}: two columns are named {name!r}; rename one")


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
