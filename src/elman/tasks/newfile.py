"""A file put in its place: never half there, never over what was saved before."""

import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from elman.data.places import clear_files, kept_aside, partial_place
from elman.errors import RunDirectoryError
from elman.tasks.newrun import sync


@dataclass
class NewFile:
    """A file being made.

    Attributes:
        target: where it will be.
        staging: the hidden file beside it to write until then.
        moved_aside: where an older file of that name went; None if there was none.
        unchanged: whether the same bytes were there already, and were left as they are.
    """

    target: Path
    staging: Path
    moved_aside: Path | None = None
    unchanged: bool = False


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """A file to write, moved to `path` when the block ends without an error.

    One that is there already is moved aside, to NAME.bak-1.SUFFIX, NAME.bak-2.SUFFIX, ...; a link
    stays a link.

    Raises:
        RunDirectoryError: `path` is no place for a file, or cannot be written.
    """
    target = Path(os.path.realpath(path))
    partial = partial_place(target)
    file = NewFile(target, partial.with_name(partial.name + target.suffix))
    try:
        if target.exists() and not target.is_file():
            raise RunDirectoryError(f"{path}: is no file; choose another name for -o")
        if not target.parent.is_dir():
            raise RunDirectoryError(
                f"{path}: there is no folder {path.parent}; make it, or choose another name for -o"
            )
        clear_files(target)
        try:
            file.staging.touch()  # what is wrong with the place shows at once
            yield file
            sync(file.staging)
            _commit(file)
        finally:
            with suppress(OSError):
                file.staging.unlink()
    except OSError as error:
        why = error.strerror or error
        raise RunDirectoryError(
            f"{path}: cannot be written: {why}; choose another name for -o"
        ) from error


def _commit(file: NewFile) -> None:
    """At each moment the old file or the new one is there, whole."""
    target = file.target
    if target.exists():
        if filecmp.cmp(target, file.staging, shallow=False):
            file.unchanged = True
            return
        shutil.copymode(target, file.staging)
        file.moved_aside = kept_aside(target)
    file.staging.replace(target)
    sync(target.parent)
