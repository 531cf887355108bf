"""Bytes of a file to text, a piece at a time, with errors that say which byte and which flag."""

import codecs
import io
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from elman.errors import DataError

_SURROGATE = re.compile("[\ud800-\udfff]")
_CHUNK = 1 << 18


def file_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a quarter of a mebibyte at a time.

    Raises:
        DataError: the file is missing or cannot be read; raised with the first piece.
    """
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def decode(data: bytes, path: Path, encoding: str) -> str:
    """The text of a file's bytes, or an error that says which is wrong and which flag helps.

    A byte order mark at the beginning is dropped.

    Raises:
        DataError: the encoding is unknown or not that of the bytes, or there is no text in them
            or a NUL character, which no text file holds.

    >>> decode("中医".encode("gb18030"), Path("terms.csv"), "gb18030")
    '中医'
    >>> decode("中医".encode("gb18030"), Path("terms.csv"), "utf-8")
    Traceback (most recent call last):
    elman.errors.DataError: terms.csv: byte 0xd6 on line 1 (offset 0) is not utf-8; if the file
    is in another encoding, say which, for example --encoding gb18030
    """
    return "".join(decoded([data], path, encoding))


def decoded(chunks: Iterable[bytes], path: Path, encoding: str) -> Iterator[str]:
    r"""`decode`, for bytes that come in pieces cut anywhere.

    No piece of the text ends between a "\r" and its "\n", and the first is not only blanks.

    >>> chunks = [b"text\r", b"\n\xe5\xa4", b"\xb4"]
    >>> list(decoded(chunks, Path("terms.csv"), "utf-8"))
    ['text', '\r\n', '头']
    """
    blank = ""  # what came before the first text
    begun = False
    line = 1
    for text in _pieces(chunks, path, encoding):
        if "\0" in text:
            line += _line_ends(text[: text.index("\0")])
            raise DataError(f"{path}: a NUL character on line {line}; this is not a text file")
        line += _line_ends(text)
        if begun:
            yield text
        elif (blank := (blank + text).removeprefix("\ufeff")).strip():
            begun = True
            yield blank
    if not begun:
        raise DataError(f"{path}: the file is empty")


def lines_of(texts: Iterable[str]) -> Iterator[str]:
    r"""The lines of a text that comes in pieces, each with its end: "\n", "\r" or "\r\n".

    >>> list(lines_of(["a\nb", "c\r\n", "d"]))
    ['a\n', 'bc\r\n', 'd']
    """
    begun: list[str] = []
    for text in texts:
        for line in io.StringIO(text, newline=""):
            if line[-1] not in "\r\n":
                begun.append(line)
            elif begun:
                yield "".join([*begun, line])
                begun.clear()
            else:
                yield line
    if begun:
        yield "".join(begun)


def half_a_character(text: str) -> bool:
    """Whether a text holds a lone surrogate, which no file can hold.

    >>> half_a_character("头"), half_a_character("头"[:0] + chr(0xD800))
    (False, True)
    """
    return not text.isascii() and _SURROGATE.search(text) is not None


def _pieces(chunks: Iterable[bytes], path: Path, encoding: str) -> Iterator[str]:
    """The text of the pieces, or an error with the first byte that is not of the encoding."""
    rest = filter(None, chunks)
    head = b""  # enough to see a byte order mark
    while len(head) < 4 and (more := next(rest, b"")):
        head += more
    unknown = f"{path}: unknown encoding {encoding!r}; try utf-8 or gb18030"
    try:
        codec = codecs.lookup(encoding).name
        if codec == "utf-8" and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise DataError(f"{path}: this is UTF-16 text; say so with --encoding utf-16")
        decoder = _decoder(codec, head)
    except (LookupError, ValueError) as error:  # a ValueError: a NUL in the name
        raise error if isinstance(error, DataError) else DataError(unknown) from None
    offset, line = 0, 1
    for chunk in chain([head], rest, [b""]):
        state = decoder.getstate()
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            # error.object ends with the chunk; what the decoder still held comes before it
            start = len(chunk) - len(error.object) + error.start
            decoder.setstate(state)
            line += _line_ends(decoder.decode(chunk[: max(start, 0)]))
            other = "gb18030" if codec == "utf-8" else "utf-8"
            raise DataError(
                f"{path}: byte 0x{error.object[error.start]:02x} on line {line} (offset "
                f"{offset + start}) is not {codec}; if the file is in another encoding, say "
                f"which, for example --encoding {other}"
            ) from None
        except UnicodeError:
            raise DataError(unknown) from None
        offset += len(chunk)
        line += _line_ends(text)
        if text:
            yield text


def _decoder(codec: str, head: bytes) -> io.IncrementalNewlineDecoder:
    r"""A decoder of text that keeps "\r\n" together."""
    marks = {
        "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
        "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    }
    if codec in marks and not head.startswith(marks[codec]):  # Python's wants a mark
        codec += "-le" if sys.byteorder == "little" else "-be"
    io.TextIOWrapper(io.BytesIO(), encoding=codec).close()  # a LookupError: not for text
    return io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(codec)(), translate=False)


def _line_ends(text: str) -> int:
    return text.count("\n") + (text.count("\r") - text.count("\r\n") if "\r" in text else 0)
