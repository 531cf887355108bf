"""Files of rows: CSV, TSV and JSONL, with errors that name file, row and remedy."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from elman.errors import DataError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns.

    Attributes:
        path: the file they came from.
        columns: the names, in the order of the file.
        rows: one list of strings a row, as long as `columns`.
        lines: the line of the file on which each row ends, counted from 1.
    """

    path: Path
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """The values of a column.

        Raises:
            DataError: there is no such column; the message lists the ones there are.
        """
        if name not in self.columns:
            there = ", ".join(map(repr, self.columns))
            raise DataError(f"{self.path}: no column {name!r}; the columns are {there}")
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
    text = decode(path, encoding)
    suffix = path.suffix.lower()
    if suffix in _DELIMITERS:
        table = _parse_delimited(path, text, _DELIMITERS[suffix])
    elif suffix in (".jsonl", ".ndjson"):
        table = _parse_json_lines(path, text)
    else:
        raise DataError(f"{path}: unknown kind of file; name it .csv, .tsv or .jsonl")
    if not table.rows:
        raise DataError(f"{path}: no rows below the column names; add some")
    return table


def decode(path: Path, encoding: str) -> str:
    """The text of a file, or an error that says which byte is wrong and which flag helps."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not data.strip():
        raise DataError(f"{path}: the file is empty")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) and encoding == "utf-8":
        raise DataError(f"{path}: this is UTF-16 text; say so with --encoding utf-16")
    try:
        text = data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise DataError(f"{path}: unknown encoding {encoding!r}; try utf-8 or gb18030") from None
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data.count(b"\n", 0, start) + 1
        other = "gb18030" if encoding.lower() in ("utf-8", "utf8") else "utf-8"
        raise DataError(
            f"{path}: byte 0x{data[start]:02x} on line {line} (offset {start}) is not {encoding}; "
            f"if the file is in another encoding, say which, for example --encoding {other}"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}: a NUL character on line {line}; this is not a text file")
    return text


def write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows under their column names, quoted where needed, with LF line ends."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _parse_delimited(path: Path, text: str, delimiter: str) -> Table:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
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
        raise DataError(
            f"{path}: line {reader.line_num} cannot be read as {path.suffix[1:].upper()}: {error}"
        ) from None
    return Table(path, columns, rows, lines)


def _parse_json_lines(path: Path, text: str) -> Table:
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
        if not columns:
            columns = list(record)
            _check_columns(path, columns)
        if set(record) != set(columns):
            odd = sorted(set(record) ^ set(columns))[0]
            raise DataError(f"{where} should have the keys of the first row; {odd!r} differs")
        rows.append([_as_text(record[name]) for name in columns])
        lines.append(number)
    return Table(path, columns, rows, lines)


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
