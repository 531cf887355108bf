"""Token vectors kept on disk, so that an encoder reads the same texts once only.

A file for each list of texts: two arrays in NumPy's .npy format, the lengths (N,) and all vectors
(T, width), then the SHA-256 of that and of the file's key. They may be deleted at any time.
"""

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import numpy as np
from numpy.lib import format as npy

_TAIL = hashlib.sha256().digest_size


def directory() -> Path:
    """`$ELMAN_CACHE/features`; without it `$XDG_CACHE_HOME/elman/features` or in `~/.cache`."""
    if own := os.environ.get("ELMAN_CACHE"):
        return Path(own) / "features"
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "elman" / "features"
    except RuntimeError as error:
        raise OSError("there is no home directory") from error


def key_of(parts: Sequence[str]) -> str:
    """One name for a list of strings; other strings, another name."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part.encode()
        hasher.update(len(data).to_bytes(8, "little") + data)
    return hasher.hexdigest()


def kept(key: str, number: int, width: int) -> list[np.ndarray] | None:
    """What was kept under a key, mapped into memory; None if nothing whole is there.

    Args:
        key: of `key_of`.
        number: how many texts there are.
        width: of the vectors.
    """
    with suppress(OSError, ValueError, EOFError), _file(key).open("rb") as file:
        end = file.seek(0, os.SEEK_END) - _TAIL
        if end <= 0 or _digest(file, key, end) != file.read(_TAIL):
            return None
        file.seek(0)
        lengths = npy.read_array(file, allow_pickle=False)
        npy.read_magic(file)
        shape, _, dtype = npy.read_array_header_1_0(file)
        if lengths.shape != (number,) or shape != (lengths.sum(), width) or dtype != np.float32:
            return None
        return _parts(_mapped(file, shape), lengths)
    return None


class Keeper:
    """A file being filled: `put` the vectors of each text, in any order; `done` once all are in."""

    def __init__(self, file: BinaryIO, lengths: np.ndarray, width: int) -> None:
        self.file, self.lengths, self.shape = file, lengths, (int(lengths.sum()), width)
        npy.write_array(file, lengths, allow_pickle=False)
        header = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
        npy.write_array_header_1_0(file, header)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
        self.start = file.tell()
        self.places = self.start + starts * width * 4
        self.end = self.start + self.shape[0] * width * 4
        if hasattr(os, "posix_fallocate"):  # a full disk is known before the work is done
            try:
                os.posix_fallocate(file.fileno(), 0, self.end + _TAIL)
            except OSError as error:  # some file systems know no such thing
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise

    def put(self, i: int, vectors: np.ndarray) -> None:
        """The vectors of text number i, float32 (L_i, width)."""
        self.file.seek(int(self.places[i]))
        self.file.write(vectors.astype("<f4").tobytes())

    def done(self, key: str) -> list[np.ndarray]:
        """All vectors, mapped into memory."""
        tail = _digest(self.file, key, self.end)
        self.file.seek(self.end)
        self.file.write(tail)
        self.file.flush()
        self.file.seek(self.start)
        return _parts(_mapped(self.file, self.shape), self.lengths)


@contextmanager
def keeper(key: str, lengths: np.ndarray, width: int) -> Iterator[Keeper]:
    """A file to fill, which is put in its place at the end if nothing went wrong.

    Raises:
        OSError: the cache cannot be written to.
    """
    target = _file(key)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{key}.{uuid4().hex}.part")
    try:
        with beside.open("w+b") as file:
            yield Keeper(file, lengths, width)
        with suppress(OSError):  # where a file in use cannot be replaced
            beside.replace(target)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _file(key: str) -> Path:
    return directory() / f"{key}.features"


def _digest(file: BinaryIO, key: str, end: int) -> bytes:
    """The SHA-256 of a key and of a file up to `end`, where the file then stands."""
    hasher = hashlib.sha256(key.encode())
    file.seek(0)
    while piece := file.read(min(1 << 20, end - file.tell())):
        hasher.update(piece)
    return hasher.digest()


def _mapped(file: BinaryIO, shape: tuple[int, int]) -> np.ndarray:
    """The vectors from where the file stands; what is written to them stays in memory."""
    if 0 in shape:
        return np.zeros(shape, np.float32)
    return np.asarray(np.memmap(file, np.dtype("<f4"), "c", file.tell(), shape))


def _parts(vectors: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum(lengths).tolist()
    return [vectors[end - n : end] for n, end in zip(lengths.tolist(), ends, strict=True)]
