"""An ONNX file that `elman export` wrote, to read: it is enough by itself, and whole, or refused.

Its metadata holds

    elman.format    the number of this form
    elman.version   of the elman that wrote it
    elman.sha256    over the whole file, with zeros in this place
    config.json, vocab.json, scaling.json    as in a run directory
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from elman.errors import RunDirectoryError
from elman.tasks.config import RunConfig
from elman.tasks.documents import Documents, damaged, newer
from elman.tasks.onnx.packages import needed
from elman.tasks.onnx.ports import Ports
from elman.tasks.onnx.runtime import RuntimeNetwork
from elman.tasks.rundir import RunDirectory

FORMAT = 1
DIGEST = "elman.sha256"
_AGAIN = "export it again"


def opened(path: Path) -> Documents:
    """A trained model on disk: a run directory, or a file whose name ends with .onnx.

    Raises:
        RunDirectoryError: there is no such file, or it is damaged.
        SettingError: it is a file, and the package onnx is not installed.
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
        SettingError: the package onnx is not installed.

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
        onnx, protobuf = needed("onnx", "google.protobuf.message")
        try:
            model = onnx.ModelProto.FromString(self.data)
            self._metadata = _metadata(model)
            self._check_format()
        except protobuf.DecodeError:
            raise damaged(path, "it is no ONNX file, or not whole", _AGAIN) from None
        except RunDirectoryError:  # a ValueError too, and all said
            raise
        except ValueError as error:
            raise damaged(path, str(error), _AGAIN) from None
        for tensor in _tensors(model):
            if onnx.external_data_helper.uses_external_data(tensor):
                raise RunDirectoryError(
                    f"{path}: keeps {tensor.name!r:.60} in another file, which elman does not "
                    f"follow; {_AGAIN} with elman export"
                )

    def _check_format(self) -> None:
        if not self.data:
            raise ValueError("it is empty")
        if "elman.format" not in self._metadata:
            raise RunDirectoryError(
                f"{self.path}: not written by elman: its metadata holds no vocabulary and no "
                "scaling; `elman export DIR` writes one that does"
            )
        number = self._metadata["elman.format"]
        if not (number.isascii() and number.isdigit() and 1 <= len(number) <= 9):
            raise ValueError(f"elman.format should be a number, got {number!r:.60}")
        if int(number) > FORMAT:
            raise newer(self.path, int(number), FORMAT)
        if not _whole(self.data, self.read(DIGEST)):
            raise ValueError("its SHA-256 is not the one that was written into it")

    def read(self, name: str) -> bytes:
        """An entry of the metadata."""
        if name not in self._metadata:
            raise self.damaged(name, "it is missing")
        return self._metadata[name].encode()

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


def _metadata(model: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in model.metadata_props:
        if bytes in (type(entry.key), type(entry.value)):
            raise ValueError("its metadata is not in UTF-8")
        if entry.key in found:
            raise ValueError(f"its metadata has {entry.key!r:.60} twice")
        found[entry.key] = entry.value
    return found


def _whole(data: bytes, digest: bytes) -> bool:
    """Whether a file is the one that a digest within it was taken of."""
    start, view = data.rindex(digest), memoryview(data)  # the only place, near the end
    total = hashlib.sha256(view[:start])
    total.update(b"0" * 64)
    total.update(view[start + len(digest) :])
    return total.hexdigest().encode() == digest


def _tensors(message: Any) -> Iterator[Any]:
    """All tensors within a part of an ONNX file, however deep."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _tensors(part)
