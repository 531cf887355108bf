"""An ONNX file that `elman export` wrote, to read: it is enough by itself, and whole, or refused.

Its metadata holds

    elman.format    the number of this form
    elman.version   of the elman that wrote it
    elman.sha256    over the whole file, with zeros in this place
    config.json, vocab.json, scaling.json    as in a run directory
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from elman.errors import RunDirectoryError
from elman.tasks.config import RunConfig
from elman.tasks.documents import Documents, damaged, newer
from elman.tasks.onnx.ports import Ports
from elman.tasks.onnx.runtime import RuntimeNetwork
from elman.tasks.onnx.wire import kept_elsewhere, metadata
from elman.tasks.rundir import RunDirectory

FORMAT = 1
DIGEST = "elman.sha256"
_AGAIN = "export it again"


def opened(path: Path) -> Documents:
    """A trained model on disk: a run directory, or a file whose name ends with .onnx.

    Raises:
        RunDirectoryError: there is no such file, or it is damaged.
    """
    if path.suffix.lower() == ".onnx" and not os.path.isdir(path):  # noqa: PTH112 - any name
        return OnnxFile(path)
    return RunDirectory(path)


class OnnxFile(Documents):
    """An exported model.

    Args:
        path: of the file.

    Raises:
        RunDirectoryError: it is not there, no ONNX file of elman's, newer or damaged.

    Attributes:
        data: its bytes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.data = path.read_bytes()
        except FileNotFoundError:
            raise RunDirectoryError(
                f"{path}: no such file; `elman export DIR -o {path}` makes one"
            ) from None
        except OSError as error:
            raise RunDirectoryError(f"{path}: cannot be read: {error.strerror}") from None
        try:
            self._metadata = metadata(self.data)
            self._check_format()
            away = kept_elsewhere(self.data)
        except (ValueError, RecursionError) as error:
            raise damaged(path, str(error), _AGAIN) from None
        if away is not None:
            raise RunDirectoryError(
                f"{path}: keeps {away!r:.60} in another file, which elman does not follow; "
                f"{_AGAIN} with elman export"
            )

    def _check_format(self) -> None:
        if not self.data:
            raise ValueError("it is empty")
        if "elman.format" not in self._metadata:
            raise RunDirectoryError(
                f"{self.path}: not written by elman: its metadata holds no vocabulary and no "
                "scaling; `elman export DIR` writes one that does"
            )
        number = self.read("elman.format").decode("utf-8", "replace")
        if not (number.isascii() and number.isdigit() and 1 <= len(number) <= 9):
            raise ValueError(f"elman.format should be a number, got {number!r:.60}")
        if int(number) > FORMAT:
            raise newer(self.path, int(number), FORMAT)
        if self.read(DIGEST).decode("utf-8", "replace") != digest(self.data):
            raise ValueError("its SHA-256 is not the one that was written into it")

    def read(self, name: str) -> bytes:
        """An entry of the metadata."""
        if name not in self._metadata:
            raise self.damaged(name, "it is missing")
        place = self._metadata[name]
        return self.data[place.start : place.end]

    def network(self, config: RunConfig, plan: Callable[[], nn.Module], ports: Ports) -> nn.Module:
        """The network, run by ONNX Runtime.

        Raises:
            RunDirectoryError: it does not fit the documents, or cannot be run.
            SettingError: the package onnxruntime is not installed.
        """
        return RuntimeNetwork(self.data, ports, str(self.path)).eval()

    def records(self) -> list[dict[str, Any]]:
        """None: they stay in the run directory."""
        return []

    def damaged(self, name: str, why: str) -> RunDirectoryError:
        """The error for an entry of the metadata."""
        return damaged(self.path, f"{name}: {why}", _AGAIN)


def digest(data: bytes) -> str:
    """SHA-256 of an ONNX file as `elman.sha256` has it; "" where that has no place in it.

    Raises:
        ValueError: it is no ONNX file.
    """
    place = metadata(data).get(DIGEST)
    if place is None or place.end - place.start != 64:
        return ""
    total = hashlib.sha256(memoryview(data)[: place.start])
    total.update(b"0" * 64)
    total.update(memoryview(data)[place.end :])
    return total.hexdigest()
