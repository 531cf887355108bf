"""Which files hold rows: known by the end of their name."""

from pathlib import Path
from typing import Literal

from elman.errors import DataError

Kind = Literal["csv", "tsv", "jsonl"]

_KINDS: dict[str, Kind] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def kind_of(path: Path) -> Kind:
    """What a file holds, by its name: "csv", "tsv" or "jsonl".

    Raises:
        DataError: the name ends in none of .csv, .tsv, .jsonl and .ndjson.

    >>> kind_of(Path("terms.CSV")), kind_of(Path("terms.ndjson"))
    ('csv', 'jsonl')
    """
    kind = _KINDS.get(path.suffix.lower())
    if kind is None and (path.is_fifo() or path.is_char_device()):
        raise DataError(
            f"{path}: is no file but a pipe or a device, whose name does not tell what it holds; "
            "write it to a file named .csv, .tsv or .jsonl (or .ndjson) first"
        )
    if kind is None:
        raise DataError(f"{path}: unknown kind of file; name it .csv, .tsv or .jsonl (or .ndjson)")
    return kind


def files_in(folder: Path) -> list[Path]:
    """The files of rows that lie in a folder, in the order of their names.

    Hidden files, other files and folders inside it are passed over.

    Raises:
        DataError: there is no such folder, or no such file in it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     for file in ("b.jsonl", "a.csv", ".a.csv", "notes.txt"):
    ...         Path(name, file).touch()
    ...     [path.name for path in files_in(Path(name))]
    ['a.csv', 'b.jsonl']
    """
    try:
        found = [path for path in _in_sight(folder) if path.suffix.lower() in _KINDS]
    except FileNotFoundError:
        raise DataError(f"{folder}: no such folder; check the path") from None
    except OSError as error:
        raise DataError(f"{folder}: cannot be read as a folder: {error.strerror}") from None
    if not found:
        raise DataError(f"{folder}: no file to read in this folder; {', '.join(_KINDS)} are known")
    return found


def passed_over(folder: Path) -> list[Path]:
    """The other files in a folder that a person may take for input."""
    return [path for path in _in_sight(folder) if path.suffix.lower() not in _KINDS]


def _in_sight(folder: Path) -> list[Path]:
    """What is neither hidden nor a folder, in the order of the names."""
    return [
        path
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if not path.name.startswith(".") and not path.is_dir()
    ]
