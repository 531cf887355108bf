"""Where a training stands, on disk: one file, whole or the one before it.

The file is in safetensors format; what is not a tensor is JSON in its header. It is written
beside its place, synced and moved there, so that a kill at any moment leaves a whole one.
"""

import hashlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from elman.errors import RunDirectoryError, SettingError

_SHARE = 0.05  # of the time, at most, goes into writing checkpoints


class Position(BaseModel):
    """How far a training has come.

    Attributes:
        epoch: the one under way, from 1.
        step: steps of it that are done.
        loss_sum, norm_sum: over those steps.
        elapsed: seconds of training so far.
        records: of the epochs that are over.
    """

    model_config = ConfigDict(extra="forbid")

    epoch: int = Field(ge=1)
    step: int = Field(ge=0)
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    elapsed: float = 0.0
    records: list[dict[str, Any]] = []


@dataclass
class Snapshot:
    """All that a training needs to go on as if it had never stopped.

    Attributes:
        position: how far it is.
        tensors: "model/NAME", "best/NAME", "optimizer/NUMBER/NAME" and "carried/NAME".
    """

    position: Position
    tensors: dict[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors whose name begins with that, under the rest of their names."""
        start = f"{name}/"
        return {k[len(start) :]: t for k, t in self.tensors.items() if k.startswith(start)}


@dataclass
class Checkpoint:
    """A file that holds a snapshot, and the training it belongs to.

    Attributes:
        path: where snapshots are written.
        identity: what must be the same for a training to go on: settings, data.
        resume: the file to go on from; None begins anew.
    """

    path: Path
    identity: dict[str, Any]
    resume: Path | None = None
    _next: float = field(default_factory=lambda: time.monotonic() + 1.0)

    def due(self) -> bool:
        """Whether it is time to write: a second after the last, or so that it costs little."""
        return time.monotonic() >= self._next

    def write(self, snapshot: Snapshot) -> None:
        """Write a snapshot in the place of the one before."""
        began = time.monotonic()
        tensors = {k: t.detach().cpu().contiguous() for k, t in snapshot.tensors.items()}
        header = {
            "format": "elman checkpoint",
            "format_version": 1,
            "identity": self.identity,
            "position": snapshot.position.model_dump(),
        }
        header["sha256"] = _digest(header, tensors)
        data = save(tensors, {"elman": json.dumps(header, ensure_ascii=False)})
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise RunDirectoryError(
                f"{self.path}: the checkpoint cannot be written: {error.strerror}; make room"
                + (", and the same command with --resume goes on" if self.path.exists() else "")
                + "; or choose another --out"
            ) from None
        now = time.monotonic()
        self._next = now + max(1.0, (now - began) / _SHARE)

    def read(self) -> Snapshot | None:
        """The snapshot to go on from; None where there is none.

        Raises:
            RunDirectoryError: the file is damaged.
            SettingError: it is of a training with other settings or data.
        """
        if self.resume is None or not self.resume.exists():
            return None
        try:
            data = self.resume.read_bytes()  # safetensors opens no name that is not UTF-8
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            raw = json.loads(header.get("__metadata__", {}).get("elman", "null"))
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            raise self._damaged(str(error)) from None
        if not isinstance(raw, dict) or raw.get("format") != "elman checkpoint":
            raise self._damaged("it is not a checkpoint of elman")
        if raw.pop("sha256", None) != _digest(raw, tensors):
            raise self._damaged("its SHA-256 is not the one in its header")
        self._check_identity(raw.get("identity"))
        try:
            return Snapshot(Position.model_validate(raw.get("position")), tensors)
        except ValidationError as error:
            raise self._damaged(str(error.errors(include_url=False)[0]["msg"])) from None

    def _check_identity(self, theirs: Any) -> None:
        if not isinstance(theirs, dict):
            raise self._damaged("it does not say what it belongs to")
        for name, mine in json.loads(json.dumps(self.identity)).items():
            if theirs.get(name) != mine:
                what = "other data" if name == "data" else f"{name} {theirs.get(name)!r}"
                now = "" if name == "data" else f", now it is {mine!r}"
                raise SettingError(
                    f"{self.resume}: made with {what}{now}; to go on give the same as then, or "
                    "leave out --resume to begin anew"
                )

    def _damaged(self, why: str) -> RunDirectoryError:
        return RunDirectoryError(f"{self.resume}: damaged: {why}; leave out --resume to begin anew")


def _digest(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """SHA-256 of all that a checkpoint says, in hexadecimal."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
