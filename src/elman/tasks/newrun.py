"""A run directory put in its place: never half there, never over something else.

A finished run is written whole beside its place and then moved there; a run that was there
before is moved aside. While a training runs, its place holds only `checkpoint/` and a page:

    checkpoint/unfinished.safetensors   of a training under way, or killed
    checkpoint/last.safetensors         of the training that made the run, at its end
    report.html                         how the training goes

An older run in that place stays whole and in use until the new one is; the page then lies in
`checkpoint/`.
"""

import errno
import filecmp
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from elman.data.places import free_name, left_behind, partial_place
from elman.errors import RunDirectoryError

try:
    import fcntl
except ImportError:  # Windows: two trainings in one place are not noticed
    fcntl = None  # type: ignore[assignment]

_FOLDER, _UNFINISHED, _LAST = "checkpoint", "unfinished.safetensors", "last.safetensors"
_PAGE, _PARTIAL = "report.html", ".report.html.partial"
_FILES = {  # of a run, but for config.json, which comes last and makes it one
    "README.md", "metrics.jsonl", "model.safetensors", "report.html", "report.json",
    "scaling.json", "vocab.json",
}  # fmt: skip


@dataclass
class NewRun:
    """A run being made.

    Attributes:
        target: where it will be.
        staging: the directory to write its files into until then.
        checkpoint: the file for a training to note where it stands; None where none is asked for.
        resume: the checkpoint to go on from; None to begin anew.
        finished: whether that is the one of the run that is there.
        kept: where the checkpoint of an older, unfinished training went; None if none was there.
        moved_aside: where an older run of that name went; None if there was none.
        unchanged: set by the maker: there is nothing new, leave the old run as it is.
        whole: whether it was written to the end but could not be moved to its place.
    """

    target: Path
    staging: Path
    checkpoint: Path | None = None
    resume: Path | None = None
    finished: bool = False
    kept: Path | None = None
    moved_aside: Path | None = None
    unchanged: bool = False
    whole: bool = False

    def put_page(self, page: str) -> Path:
        """Write report.html of the training under way, at once; where it went.

        Raises:
            OSError: it cannot be written.
        """
        folder = self.target / _FOLDER
        partial, place = folder / _PARTIAL, self.target / _PAGE
        if _is_run(self.target):  # that has a page of its own
            place = folder / _PAGE
        try:
            partial.write_text(page, encoding="utf-8")
            partial.replace(place)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        return place


@contextmanager
def new_run(path: str | Path) -> Iterator[NewRun]:
    """A directory to write a run into, moved to `path` when the block ends without an error.

    Raises:
        RunDirectoryError: `path` is a file or holds other things, or cannot be written.
    """
    with _staged(Path(path)) as run:
        yield run
        if not run.unchanged:
            _commit(run)


@contextmanager
def training_run(path: str | Path, resume: bool = False) -> Iterator[NewRun]:
    """The same with a checkpoint, for a long training: enter it before.

    Args:
        path: of the run directory.
        resume: go on from the checkpoint that is there, if there is one.

    Raises:
        RunDirectoryError: as `new_run`, or another training is writing there.
    """
    with _staged(Path(path)) as run, _locked(run.target / _FOLDER):
        _clear_partials(run.target)
        folder = run.target / _FOLDER
        run.checkpoint, last = folder / _UNFINISHED, folder / _LAST
        if _is_run(run.target) and _same_bytes(run.checkpoint, last):
            run.checkpoint.unlink()  # its run is whole: a kill came before it was taken away
        there = [file for file in (run.checkpoint, last) if file.is_file()]
        if resume:
            run.resume = there[0] if there else None
            run.finished = there == [last] and _is_run(run.target)
        elif run.checkpoint in there:
            run.kept = free_name(folder / "unfinished", ".safetensors")
            run.checkpoint.rename(run.kept)
        if run.resume is None:
            _clear_page(run.target)  # of another training
        try:
            yield run
            if not run.unchanged:
                _commit(run)
        finally:
            if not run.checkpoint.is_file():  # it is over, or there is nothing to go on from
                _clear_page(run.target)


def replica(path: str | Path, resume: bool = False) -> NewRun:
    """What a process sees that trains along and writes nothing."""
    target = Path(path).resolve()
    folder = target / _FOLDER
    there = [file for file in (folder / _UNFINISHED, folder / _LAST) if file.is_file()]
    checkpoint = folder / _UNFINISHED
    return NewRun(target, target, checkpoint, there[0] if resume and there else None)


def unfinished(path: Path) -> bool:
    """Whether a place without config.json is that of a training begun and not ended."""
    return (path / _FOLDER).is_dir()


def identity(path: Path) -> int | None:
    """Which directory a path leads to now; another number once a new run is put there."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


@contextmanager
def _staged(path: Path) -> Iterator[NewRun]:
    """A directory to write into, gone when the block ends unless what it holds is needed."""
    with _writing(path):
        _check_place(path)
        target = path.resolve()
        run = NewRun(target, partial_place(target))
        run.staging.mkdir(parents=True)
        try:
            yield run
        finally:
            if not run.whole:
                shutil.rmtree(run.staging, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the checkpoints of a run for oneself; leave no empty folder behind."""
    made = [place for place in (folder, folder.parent) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY) if fcntl else -1
    try:
        if fcntl:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunDirectoryError(
                    f"{folder.parent}: another training is writing there; wait for it or choose "
                    "another --out"
                ) from None
        yield
    finally:
        if fcntl:
            os.close(descriptor)
        for place in made:
            with suppress(OSError):
                place.rmdir()  # only where it is empty


def _clear_partials(target: Path) -> None:
    """Remove what processes left that were killed while they wrote; not a run that is whole."""
    for place in left_behind(target):
        if not _is_run(place):
            shutil.rmtree(place, ignore_errors=True)


def _clear_page(target: Path) -> None:
    """Remove the page of a training under way."""
    for name in (_PAGE, _PARTIAL):
        (target / _FOLDER / name).unlink(missing_ok=True)
    if not _is_run(target):
        (target / _PAGE).unlink(missing_ok=True)


def _check_place(target: Path) -> None:
    if target.resolve() in (here := Path.cwd().resolve(), *here.parents):
        raise RunDirectoryError(
            f"{target}: is or holds the current directory; choose a new one for --out"
        )
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise RunDirectoryError(
            f"{target}: there is a file or a link of this name; choose another --out"
        )
    while True:
        place = identity(target)
        if not _names(target) or _is_run(target) or _is_begun(target):
            return
        if identity(target) == place:  # and no other process moved it between two lines
            break
    raise RunDirectoryError(
        f"{target}: holds files that are not an elman run; choose a new directory for --out"
    )


def _names(directory: Path) -> set[str]:
    """What is in a directory; nothing where it is not there, or not any more."""
    try:
        return set(os.listdir(directory))  # noqa: PTH208 - names, not paths
    except FileNotFoundError:
        return set()


def _is_run(directory: Path) -> bool:
    """Whether a directory says of itself that it is a run."""
    try:
        raw = json.loads((directory / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(raw, dict) and raw.get("format") == "elman run"


def _is_begun(directory: Path) -> bool:
    """Whether a directory holds nothing but the checkpoints and page of a training not finished.

    Or, killed while its files were moved there, some of these too.
    """
    folder = directory / _FOLDER
    if not folder.is_dir():
        return False
    names, inside = _names(directory), _names(folder)
    if any("unfinished" in name for name in inside):
        return names <= {_FOLDER, *_FILES}
    return names <= {_FOLDER, _PAGE} and inside <= {_PAGE, _PARTIAL}


def _same_bytes(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _commit(run: NewRun) -> None:
    """Put what was written in its place; at each moment the old run or the new one is there."""
    if run.checkpoint is not None and run.checkpoint.is_file():
        (run.staging / _FOLDER).mkdir()
        shutil.copyfile(run.checkpoint, run.staging / _FOLDER / _LAST)
    for file in run.staging.rglob("*"):
        sync(file)
    sync(run.staging)
    for attempt in range(10):  # another process may put a run there between two lines
        try:
            _move(run)
            break
        except OSError as error:
            taken = error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
            if attempt == 9 or not taken:
                run.whole = True
                raise RunDirectoryError(
                    f"{run.target}: cannot be put in place: {error.strerror}; the new run is "
                    f"whole in {run.staging}"
                ) from error
    sync(run.target.parent)


def _move(run: NewRun) -> None:
    target = run.target
    begun = run.checkpoint is not None and target.is_dir() and not _is_run(target)
    if begun:  # the place holds our checkpoint alone: files one by one, config.json last
        _move_files(run.staging, target)
    elif target.is_dir() and any(target.iterdir()):
        aside = free_name(target)
        target.rename(aside)
        run.moved_aside = aside
        run.staging.rename(target)
    else:
        if target.is_dir():
            target.rmdir()
        run.staging.rename(target)
    if run.checkpoint is not None:
        for place in (target, run.moved_aside):
            if place is not None:
                for name in (_UNFINISHED, _PAGE, _PARTIAL):
                    (place / _FOLDER / name).unlink(missing_ok=True)
                with suppress(OSError):
                    (place / _FOLDER).rmdir()  # where an older run had no checkpoint of its own


def _move_files(source: Path, target: Path) -> None:
    files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    for name in sorted(files, key=lambda name: name == Path("config.json")):
        (source / name).replace(target / name)
    sync(target)


def sync(path: Path) -> None:
    """Let what was written stay through a loss of power."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a directory
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        remedy = "choose another --out"
        if os.path.isfile(path / _FOLDER / _UNFINISHED):  # noqa: PTH113 - a name may be too long
            remedy = f"make room, and the same command with --resume goes on; or {remedy}"
        raise RunDirectoryError(f"{path}: cannot be written: {why}; {remedy}") from error
