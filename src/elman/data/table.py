"""Files of rows: CSV, TSV and JSONL, with errors that name file, row and remedy."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from elman.data.decoding import decode, decoded, file_chunks, half_a_character, lines_of
from elman.data.delimited import (
    DELIMITERS,
    Row,
    delimited_rows,
    separator_hint,
)
from elman.data.jsonlines import json_rows
from elman.data.kinds import kind_of
from elman.errors import DataError, SettingError

__all__ = ["Table", "decode", "half_a_character", "read_blocks", "read_table"]

_CHARACTERS = 1 << 24  # a block of long rows ends early, so that its memory has a bound


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns: all of a file, or a block of it.

    Attributes:
        path: the file they came from.
        columns: the names, in the order of the file.
        rows: one list of strings a row, as long as `columns`.
        lines: the line of the file on which each row begins, counted from 1.
        sha256: of the file's bytes, in hexadecimal; empty for a block.
        start: how many rows of the file come before these.
        records: of a JSONL file, the objects the rows were, with their types.

    >>> table = Table(Path("f.csv"), ["a", "b"], [["1", "x"], ["2", "y"]], [4, 5], "", start=2)
    >>> table.column("b"), table.place(0)
    (['x', 'y'], 'f.csv: row 3 (line 4)')
    """

    path: Path
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]
    sha256: str
    start: int = 0
    records: list[dict[str, object]] | None = None

    def column(self, name: str) -> list[str]:
        """The values of a column.

        Raises:
            DataError: there is no such column; the message lists the ones there are.
        """
        if name not in self.columns:
            there = ", ".join(map(repr, self.columns))
            hint = separator_hint(self.path, self.columns)
            hint = f"; {hint}" if hint else ""
            raise DataError(f"{self.path}: no column {name!r}; the columns are {there}{hint}")
        k = self.columns.index(name)
        return [row[k] for row in self.rows]

    def place(self, row: int) -> str:
        """Where row number `row`, from 0, stands: file, row and line as a person counts."""
        return f"{self.path}: {self.row_name(row)}"

    def row_name(self, row: int) -> str:
        """The same without the file, for a second row in a message."""
        return f"row {self.start + row + 1} (line {self.lines[row]})"


def read_blocks(path: str | Path, encoding: str = "utf-8", size: int = 8192) -> Iterator[Table]:
    r"""Read a .csv, .tsv or .jsonl file of any length, a block of rows at a time.

    Only one block is in memory. Rows and lines are counted through the whole file.

    Args:
        path: the file, as for `read_table`.
        encoding: of the text. Default: "utf-8".
        size: the most rows in a block; there are fewer in the last, and where rows are long.
            Default: 8192.

    Raises:
        DataError: as `read_table`, when the reading comes to the place.
        SettingError: `size` is below 1.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "f.csv").write_text("a\n1\n2\n3\n")
    ...     for block in read_blocks(Path(folder, "f.csv"), size=2):
    ...         print(block.start, block.rows)
    0 [['1'], ['2']]
    2 [['3']]
    """
    if size < 1:
        raise SettingError(f"read_blocks: size should be at least 1, got {size}")
    path = Path(path)
    return _blocks(path, file_chunks(path), encoding, size)


def read_table(path: str | Path, encoding: str = "utf-8") -> Table:
    r"""Read a .csv, .tsv or .jsonl file whole.

    Args:
        path: the file. A CSV or TSV file begins with a line of column names; a JSONL file
            has one JSON object a line, and the columns of the first.
        encoding: of the text. A byte order mark is dropped. Default: "utf-8".

    Raises:
        DataError: the file is missing, empty, not in that encoding, not text, or a row does
            not fit the columns.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "f.jsonl").write_text('{"a": 1, "b": "x"}\n')
    ...     table = read_table(Path(folder, "f.jsonl"))
    >>> table.columns, table.rows, table.records
    (['a', 'b'], [['1', 'x']], [{'a': 1, 'b': 'x'}])
    """
    path = Path(path)
    digest = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for chunk in file_chunks(path):
            digest.update(chunk)
            yield chunk

    blocks = _blocks(path, hashed(), encoding, 8192)
    whole = next(blocks)
    for block in blocks:
        whole.rows.extend(block.rows)
        whole.lines.extend(block.lines)
        if whole.records is not None and block.records is not None:
            whole.records.extend(block.records)
    return replace(whole, sha256=digest.hexdigest())


def _blocks(path: Path, chunks: Iterator[bytes], encoding: str, size: int) -> Iterator[Table]:
    first = next(chunks, b"")  # a file that is not there is told before a wrong name
    kind = kind_of(path)
    lines = lines_of(decoded(chain([first], chunks), path, encoding))
    if kind == "jsonl":
        columns, rows = json_rows(path, lines)
    else:
        columns, rows = delimited_rows(path, lines, DELIMITERS[kind])
    if half_a_character("".join(columns)):
        raise DataError(f"{path}: a column's name holds half a character (a lone surrogate)")
    start = 0
    while batch := _taken(rows, size):
        values = [row.values for row in batch]
        records = [row.record for row in batch if row.record is not None] or None
        block = Table(path, columns, values, [row.line for row in batch], "", start, records)
        _check_characters(block)
        yield block
        start += len(batch)
    if not start:
        raise DataError(f"{path}: no rows below the column names; add some")


def _taken(rows: Iterator[Row], size: int) -> list[Row]:
    """The next rows, at most `size`, and no more after a great many characters."""
    batch: list[Row] = []
    characters = 0
    while len(batch) < size and characters < _CHARACTERS and (row := next(rows, None)):
        batch.append(row)
        characters += sum(map(len, row.values))
    return batch


def _check_characters(table: Table) -> None:
    """JSON, and a few encodings, can name halves of characters."""
    for row, values in enumerate(table.rows):
        if half_a_character("".join(values)):
            name = next(
                name
                for name, value in zip(table.columns, values, strict=True)
                if half_a_character(value)
            )
            raise DataError(
                f"{table.place(row)}: column {name!r} holds half a character (a lone "
                "surrogate); write it anew"
            )
