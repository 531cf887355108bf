"""Standard output that says what is wrong with it, or goes quietly when its reader has gone."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from elman.errors import DataError


class _Guarded:
    """A stream whose errors are not mistaken for those of a file being written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._told():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._told():
            self._stream.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # the reader has gone, as in `elman predict ... | head`
            self._silence()
            sys.exit(141)
        except OSError as error:
            self._silence()
            raise DataError(f"standard output cannot be written: {error.strerror}") from None

    def _silence(self) -> None:
        """What is still held back must not be tried again when the program ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextmanager
def guarded_output() -> Iterator[None]:
    """Standard output and error in UTF-8 whatever the locale, and the former guarded."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who called, as `>&-` does
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    before = sys.stdout
    guarded = _Guarded(before)
    sys.stdout = guarded
    try:
        yield
    finally:
        try:
            guarded.flush()
        finally:
            sys.stdout = before
