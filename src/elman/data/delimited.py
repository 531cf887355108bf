"""Rows of CSV and TSV files: fields in quotes, with separators and line ends inside."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from elman.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = {"csv": ",", "tsv": "\t"}

# The csv module's own limit is 131,072. With none, one quote that is not closed would make a
# field of all the rest of the file.
_LONGEST_FIELD = 1 << 27


class Row(NamedTuple):
    """One row of a file.

    Attributes:
        values: its texts, in the order of the columns.
        line: that of the file on which it begins, counted from 1.
        record: the object it was, in a JSONL file.
    """

    values: list[str]
    line: int
    record: dict[str, object] | None


def delimited_rows(
    path: Path, lines: Iterable[str], delimiter: str
) -> tuple[list[str], Iterator[Row]]:
    r"""The columns and the rows of a file whose fields stand between separators.

    Args:
        path: for the errors.
        lines: of the file, with their ends.
        delimiter: between two fields.

    Raises:
        DataError: a column has no name or that of another, a row has more or fewer fields than
            there are columns, or a quote is not closed.

    >>> columns, rows = delimited_rows(Path("f.csv"), ["a,b\n", '1,"x\n', 'y"\n'], ",")
    >>> columns, list(rows)
    (['a', 'b'], [Row(values=['1', 'x\ny'], line=2, record=None)])
    """
    rows = _rows(path, lines, delimiter)
    return next(rows).values, rows


def delimited_writer(stream: TextIO, delimiter: str) -> Callable[[Iterable[object]], None]:
    r"""A function that writes a row, quoted where needed, with an LF at its end.

    >>> import sys
    >>> delimited_writer(sys.stdout, ",")(["a,b", 1])
    "a,b",1
    """

    class Ends:
        def write(self, row: str) -> None:
            stream.write(row[:-2] + "\n")

    # with "\n" at the end of a row, a "\r" inside a field would be left without quotes
    writer = csv.writer(Ends(), delimiter=delimiter, lineterminator="\r\n")

    def write(row: Iterable[object]) -> None:
        writer.writerow(row)

    return write


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Every column has a name, and no two the same.

    Raises:
        DataError: names the column.
    """
    for name in columns:
        if not name:
            raise DataError(f"{path}: a column on the first line has no name; give it one")
    if len(set(columns)) < len(columns):
        name = next(name for name in columns if columns.count(name) > 1)
        raise DataError(f"{path}: two columns are named {name!r}; rename one")


def separator_hint(path: Path, columns: Sequence[str]) -> str:
    """What to do about a file whose one column seems to be several, or nothing.

    >>> separator_hint(Path("f.csv"), ["a;b"])
    'the file seems to be separated by semicolons: save it with commas'
    >>> separator_hint(Path("f.csv"), ["a b"])
    ''
    """
    suffix = path.suffix.lower()
    if len(columns) != 1 or suffix not in (".csv", ".tsv"):
        return ""
    seems = "the file seems to be separated by "
    if ";" in columns[0]:
        return f"{seems}semicolons: save it with {'commas' if suffix == '.csv' else 'tabs'}"
    return f"{seems}tabs: name it .tsv" if "\t" in columns[0] else ""


def _rows(path: Path, lines: Iterable[str], delimiter: str) -> Iterator[Row]:
    """The names of the columns, then the rows."""
    header: list[str] = []  # as written, for an error in it
    reader = csv.reader(_first_kept(lines, header), delimiter=delimiter, strict=True)
    width, count, last, hint = 0, 0, 0, ""
    while True:
        begins = reader.line_num + 1
        try:
            values = _next(reader)
        except csv.Error as error:
            if not width and not (header and delimiter in header[0]):
                hint = separator_hint(path, [line.strip() for line in header])
            kind = path.suffix[1:].upper()
            remedy = f"look for a quote that is not closed or not doubled from line {last + 1} on"
            raise DataError(
                f"{path}: line {reader.line_num} cannot be read as {kind}: {error}; "
                f"{hint or remedy}"
            ) from None
        if values is None:
            return
        if not values:
            continue  # a blank line
        if not width:
            values = [name.strip() for name in values]
            check_columns(path, values)
            width, hint = len(values), separator_hint(path, values)
        else:
            count += 1
        if len(values) != width:
            fields = "1 field" if len(values) == 1 else f"{len(values)} fields"
            columns = "1 column" if width == 1 else f"{width} columns"
            raise DataError(
                f"{path}: row {count} (line {begins}) has {fields} "
                f"where the first line names {columns}; "
                f"{hint or 'put quotes around a field that holds a separator'}"
            )
        last = reader.line_num if count else 0
        yield Row(values, begins, None)


def _first_kept(lines: Iterable[str], kept: list[str]) -> Iterator[str]:
    """The lines; the first that is not blank is put into `kept`."""
    rest = iter(lines)
    for line in rest:
        if line.strip():
            kept.append(line)
            yield line
            break
        yield line
    yield from rest


def _next(reader: "Reader") -> list[str] | None:
    limit = csv.field_size_limit(_LONGEST_FIELD)  # one for the whole process: put it back
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(limit)
