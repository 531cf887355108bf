"""What was learned, as documents under names, wherever they lie.

`elman.tasks.rundir` has them in the files of a run directory, `elman.tasks.onnx.file` in the
metadata of an ONNX file:

    config.json         task, settings, columns, versions, seed, data, figures
    vocab.json          the tokens a model of text knows
    scaling.json        the scale of the numbers a model of numbers knows
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError
from torch import nn

from elman.errors import RunDirectoryError
from elman.tasks.config import FORMAT_VERSION, RunConfig, first_problem, upgraded
from elman.tasks.evidence import Evidence
from elman.tasks.onnx.ports import Ports

Config = TypeVar("Config", bound=RunConfig)
CONFIG, VOCABULARY, SCALING = "config.json", "vocab.json", "scaling.json"


class Documents(ABC):
    """A trained model on disk: its documents, its network and its history.

    Attributes:
        path: where it lies.
    """

    path: Path

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A document.

        Raises:
            RunDirectoryError: there is none of that name, or the place cannot be read.
        """

    @abstractmethod
    def network(self, config: RunConfig, plan: Callable[[], nn.Module], ports: Ports) -> nn.Module:
        """The trained network, in eval mode on the CPU.

        Args:
            config: of this model.
            plan: makes a network of that kind with new weights.
            ports: what goes into it and comes out.
        """

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """A record for each epoch; none where they are not kept."""

    def evidence(self, kind: type[Evidence]) -> Evidence | None:
        """What its report shows besides the records; None where that is not kept.

        Args:
            kind: of this model's task.
        """
        return None

    @abstractmethod
    def damaged(self, name: str, why: str) -> RunDirectoryError:
        """The error for a document that cannot be used."""


def packed(config: RunConfig, documents: dict[str, Any]) -> dict[str, bytes]:
    """Documents as they are written, config.json, with their hashes filled in, the last.

    Args:
        config: hashes that it has already stay.
        documents: what else was learned, by name.
    """
    files = {name: as_json(value, indent=0).encode() for name, value in documents.items()}
    config.files |= {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return {**files, CONFIG: as_json(config.model_dump(), indent=2).encode()}


def task_of(documents: Documents) -> str:
    """Which task a model is of.

    Raises:
        RunDirectoryError: it is damaged, or newer than this elman.
    """
    task = _raw_config(documents).get("task")
    if not isinstance(task, str):
        raise documents.damaged(CONFIG, "it names no task")
    return task


def read_config(documents: Documents, kind: type[Config]) -> Config:
    """The description of a model.

    Raises:
        RunDirectoryError: as `task_of`, or it is of another task than the one asked for.
    """
    raw = upgraded(_raw_config(documents))
    wanted = kind.model_fields["task"].default
    if raw.get("task") != wanted and isinstance(raw.get("task"), str):
        raise RunDirectoryError(
            f"{documents.path}: a run of the task {raw['task']!r:.60}, {wanted!r} is needed"
        )
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise documents.damaged(CONFIG, ": ".join(first_problem(error))) from None


def _raw_config(documents: Documents) -> dict[str, Any]:
    raw = parsed(documents, CONFIG, documents.read(CONFIG), json.loads)
    if not isinstance(raw, dict) or raw.get("format") != "elman run":
        raise RunDirectoryError(f"{documents.path}: config.json is not that of an elman run")
    version = raw.get("format_version")
    if type(version) is not int or version < 1:
        raise documents.damaged(CONFIG, f"format_version should be a number, got {version!r}")
    if version > FORMAT_VERSION:
        raise newer(documents.path, version, FORMAT_VERSION)
    return raw


def newer(path: Path, version: int, known: int) -> RunDirectoryError:
    """The error for what a later elman wrote."""
    return RunDirectoryError(
        f"{path}: written by a newer elman (format {version}, this one knows {known}); upgrade "
        "with pip install --upgrade elman"
    )


def read_document(documents: Documents, name: str, config: RunConfig) -> Any:
    """One of the documents besides config.json, as it was written.

    Raises:
        RunDirectoryError: it is missing or damaged.
    """
    data = documents.read(name)
    value = parsed(documents, name, data, json.loads)
    check_unchanged(documents, name, data, config)
    return value


def read_vocabulary(documents: Documents, config: RunConfig) -> list[str]:
    """The tokens of a model."""
    raw = read_document(documents, VOCABULARY, config)
    tokens = raw.get("tokens") if isinstance(raw, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise documents.damaged(VOCABULARY, "it should hold a list of strings named tokens")
    return tokens


def read_scaling(documents: Documents, config: RunConfig) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the scale of each number of a step."""
    raw = read_document(documents, SCALING, config)
    try:
        mean, scale = (np.array(raw[name], dtype=np.float64) for name in ("mean", "scale"))
    except (KeyError, TypeError, ValueError):
        mean = scale = np.array([])
    sane = mean.ndim == 1 and mean.shape == scale.shape and mean.size
    if not sane or not np.isfinite([mean, scale]).all() or (scale <= 0).any():
        raise documents.damaged(
            SCALING, "it should hold a mean and a scale above 0 for each column"
        )
    return mean, scale


def parsed(documents: Documents, name: str, data: bytes, parse: Callable[[str], Any]) -> Any:
    """A document's value."""
    try:
        value = parse(data.decode("utf-8"))
        json.dumps(value, ensure_ascii=False).encode()  # halves of characters fail here
    except (ValueError, RecursionError) as error:
        raise documents.damaged(name, str(error)) from None
    return value


def check_unchanged(documents: Documents, name: str, data: bytes, config: RunConfig) -> None:
    """Raise RunDirectoryError where a document is not the one that was written with config.json."""
    if hashlib.sha256(data).hexdigest() != config.files.get(name):
        raise documents.damaged(name, "its SHA-256 is not the one that config.json has for it")


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON as it is written in documents."""
    return json.dumps(value, ensure_ascii=False, indent=indent) + "\n"


def damaged(file: Path, why: str, remedy: str = "train again") -> RunDirectoryError:
    """The error for a file that cannot be used."""
    why = why if len(why) <= 300 else f"{why[:300]}..."  # it may quote what the file holds
    return RunDirectoryError(f"{file}: damaged: {why}; bring the file back, or {remedy}")
