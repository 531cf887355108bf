"""A place for answers: a file that is there whole or not at all, a pipe or a device."""

import errno
import filecmp
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from elman.data.places import clear_files, kept_aside
from elman.errors import DataError

# what a process has open already, perhaps on a file: written to, never moved over
_DESCRIPTORS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


@contextmanager
def open_output(
    path: Path, inputs: Collection[Path] = (), kept: Callable[[Path], object] | None = None
) -> Iterator[TextIO]:
    """A text stream, in UTF-8, for the contents of a file.

    They go to a hidden file beside it that is moved into place when the block ends without an
    error; so a file that is there stays as it is until the new one is whole, and is then kept under
    another name, NAME.bak-1.SUFFIX, unless it holds the same. Its permissions stay, and a link
    stays a link. A pipe or a device is written to directly.

    Args:
        path: of the file.
        inputs: files that are being read and must not be written over.
        kept: is told where the file is now that was there, if there was one.

    Raises:
        DataError: the path is one of the inputs, or it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_output(Path(folder, "f.csv")) as stream:
    ...         _ = stream.write("a,b")
    ...         before = [path.name[:14] for path in Path(folder).iterdir()]
    ...     before, [path.name for path in Path(folder).iterdir()]
    (['.f.csv.partial'], ['f.csv'])
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}") if target.name else target
    try:
        for source in inputs:
            if _same(path, source):
                raise DataError(f"{path}: is the input itself; choose another name for -o")
        if _is_straight(path):
            with path.open("a", encoding="utf-8", newline="") as stream:
                yield stream
        else:
            with _moved_when_whole(partial, target, kept) as stream:
                yield stream
    except OSError as error:
        if error.filename not in (None, str(path), str(target), str(partial)):
            raise  # of something else inside the block
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None


def _same(path: Path, source: Path) -> bool:
    try:
        return path.samefile(source)
    except OSError:  # one is not there
        return False


def _is_straight(path: Path) -> bool:
    """Whether a path is no place for a file: a pipe, a device, a descriptor that is open."""
    if os.path.abspath(path).startswith(_DESCRIPTORS):  # noqa: PTH100 - no links followed
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def _moved_when_whole(
    partial: Path, target: Path, kept: Callable[[Path], object] | None
) -> Iterator[TextIO]:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    there = target.exists()
    if there:
        target.open("ab").close()  # moving would not ask whether it may be changed
    try:
        partial.unlink(missing_ok=True)  # of a process with the same number that was killed
        clear_files(target)
        with partial.open("x", encoding="utf-8", newline="") as stream:
            if there:
                shutil.copymode(target, partial)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        aside = None
        if there and not filecmp.cmp(target, partial, shallow=False):
            aside = kept_aside(target)
        partial.replace(target)
    finally:
        with suppress(OSError):
            partial.unlink()
    if aside is not None and kept is not None:
        kept(aside)
