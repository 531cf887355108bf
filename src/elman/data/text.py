"""Plain text files, to learn a language from."""

import codecs
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from elman.data.decoding import decode, file_chunks, half_a_character
from elman.errors import DataError

_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")  # all but \t, \n, \f and \r
_MOST_CONTROLS = 0.01  # a stray one, as old files end with, is no harm


@dataclass(frozen=True)
class Text:
    r"""The text of a file.

    Attributes:
        path: of the file.
        text: with "\n" at the end of each line, whatever ends it in the file.
        sha256: of the file's bytes, in hexadecimal.
    """

    path: Path
    text: str
    sha256: str


def read_text(path: str | Path, encoding: str = "utf-8") -> Text:
    r"""Read a plain text file whole, whatever its name ends in.

    Args:
        path: the file.
        encoding: of the text. A byte order mark is dropped. Default: "utf-8".

    Raises:
        DataError: the file is missing, empty, not in that encoding, or not text.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "poem").write_bytes(b"Tyger Tyger,\r\nburning bright\r\n")
    ...     read_text(Path(folder, "poem")).text
    'Tyger Tyger,\nburning bright\n'
    """
    path = Path(path)
    data = b"".join(file_chunks(path))
    _check_bytes(data, path, encoding)
    text = decode(data, path, encoding).replace("\r\n", "\n").replace("\r", "\n")
    controls = sum(1 for _ in _CONTROLS.finditer(text))
    if controls > _MOST_CONTROLS * len(text):
        raise DataError(
            f"{path}: {controls} of {len(text)} characters are control characters; this is not "
            "a text file: give plain text"
        )
    if half_a_character(text):
        raise DataError(f"{path}: holds half a character (a lone surrogate); write it anew")
    return Text(path, text, hashlib.sha256(data).hexdigest())


def _check_bytes(data: bytes, path: Path, encoding: str) -> None:
    """Another encoding would not help a picture or a program: tell it before `decode` does."""
    wide = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if not re.fullmatch("(?i)utf[-_]?8|ascii", encoding) or data.startswith(wide):
        return
    if (offset := data.find(0)) >= 0:
        raise DataError(
            f"{path}: a NUL byte at offset {offset}; this is not a text file (if it is UTF-16, "
            "say so with --encoding utf-16)"
        )
