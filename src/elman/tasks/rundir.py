"""The run directory: a trained model on disk that describes itself.

    config.json         task, settings, columns, versions, seed, data, figures
    vocab.json          the tokens a model of text knows
    scaling.json        the scale of the numbers a model of numbers knows
    model.safetensors   the weights
    metrics.jsonl       a line for each epoch
    checkpoint/         where the training stood at its end, to go on from
    README.md           what this is, how good it is, how to use it

`elman.tasks.newrun` puts it in its place. Nothing is ever unpickled.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from elman.errors import RunDirectoryError
from elman.tasks.config import FORMAT_VERSION, RunConfig, first_problem, upgraded
from elman.tasks.newrun import unfinished

Config = TypeVar("Config", bound=RunConfig)


def write_files(
    directory: Path,
    config: RunConfig,
    documents: dict[str, Any],
    weights: dict[str, Tensor],
    records: list[dict[str, Any]],
    readme: str,
) -> None:
    """Write the files of a run into a directory that is there and empty.

    Args:
        directory: the place.
        config: goes to config.json, with the hashes of the files filled in.
        documents: what else was learned, as JSON under the names of the files: vocab.json, ...
        weights, records: go to model.safetensors and metrics.jsonl.
        readme: the page.
    """
    files = {name: _json(value, indent=0).encode() for name, value in documents.items()}
    files["model.safetensors"] = save({k: t.cpu().contiguous() for k, t in weights.items()})
    config.files = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    files["config.json"] = _json(config.model_dump(), indent=2).encode()
    files["metrics.jsonl"] = "".join(_json(record) for record in records).encode()
    files["README.md"] = readme.encode()
    for name, data in files.items():
        (directory / name).write_bytes(data)


def task_of(path: str | Path) -> str:
    """Which task a run directory is of.

    Raises:
        RunDirectoryError: there is none, it is not finished, damaged, or newer than this elman.
    """
    task = _raw_config(Path(path)).get("task")
    if not isinstance(task, str):
        raise damaged(Path(path) / "config.json", "it names no task")
    return task


def read_config(path: str | Path, kind: type[Config]) -> Config:
    """The description of a run.

    Raises:
        RunDirectoryError: as `task_of`, or it is of another task than the one asked for.
    """
    path = Path(path)
    raw = upgraded(_raw_config(path))
    wanted = kind.model_fields["task"].default
    if raw.get("task") != wanted and isinstance(raw.get("task"), str):
        raise RunDirectoryError(
            f"{path}: a run of the task {raw['task']!r:.60}, {wanted!r} is needed"
        )
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise damaged(path / "config.json", first_problem(error)) from None


def _raw_config(path: Path) -> dict[str, Any]:
    if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        raise RunDirectoryError(f"{path}: no such run directory; `elman train` makes one")
    if not (path / "config.json").is_file():
        if unfinished(path):
            raise RunDirectoryError(
                f"{path}: its training is not finished; give the command that began it again, "
                "with --resume"
            )
        raise RunDirectoryError(f"{path}: not a run directory, config.json is missing")
    raw = _parse(path / "config.json", _read(path / "config.json"), json.loads)
    if not isinstance(raw, dict) or raw.get("format") != "elman run":
        raise RunDirectoryError(f"{path}: config.json is not that of an elman run")
    version = raw.get("format_version")
    if type(version) is not int or version < 1:
        raise damaged(path / "config.json", f"format_version should be a number, got {version!r}")
    if version > FORMAT_VERSION:
        raise RunDirectoryError(
            f"{path}: written by a newer elman (format {version}, this one knows "
            f"{FORMAT_VERSION}); upgrade with pip install --upgrade elman"
        )
    return raw


def read_document(path: Path, name: str, config: RunConfig) -> Any:
    """One of the JSON files, as it was written.

    Raises:
        RunDirectoryError: it is missing or damaged.
    """
    file = Path(path) / name
    data = _read(file)
    value = _parse(file, data, json.loads)
    _check_unchanged(file, data, config)
    return value


def read_vocabulary(path: Path, config: RunConfig) -> list[str]:
    """The tokens of a run."""
    raw = read_document(path, "vocab.json", config)
    tokens = raw.get("tokens") if isinstance(raw, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise damaged(Path(path) / "vocab.json", "it should hold a list of strings named tokens")
    return tokens


def read_scaling(path: Path, config: RunConfig) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the scale of each number of a step."""
    raw = read_document(path, "scaling.json", config)
    try:
        mean, scale = (np.array(raw[name], dtype=np.float64) for name in ("mean", "scale"))
    except (KeyError, TypeError, ValueError):
        mean = scale = np.array([])
    sane = mean.ndim == 1 and mean.shape == scale.shape and mean.size
    if not sane or not np.isfinite([mean, scale]).all() or (scale <= 0).any():
        raise damaged(
            Path(path) / "scaling.json", "it should hold a mean and a scale above 0 for each column"
        )
    return mean, scale


def read_weights(path: Path, config: RunConfig, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a run, with names, shapes and dtypes as in `expected`."""
    file = Path(path) / "model.safetensors"
    data = _read(file)
    try:
        weights = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise damaged(file, str(error)) from None
    if odd := sorted(set(weights) ^ set(expected)):
        raise damaged(file, f"it does not fit config.json: {odd[0]} is missing or too many")
    for name, want in expected.items():
        have = weights[name]
        if have.shape != want.shape or have.dtype != want.dtype:
            raise damaged(
                file,
                f"{name} should be {tuple(want.shape)} of {want.dtype} to fit the other files, "
                f"got {tuple(have.shape)} of {have.dtype}",
            )
        if not torch.isfinite(have).all():
            raise damaged(file, f"{name} holds numbers that are not finite")
    _check_unchanged(file, data, config)
    return weights


def read_records(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; none if the file was taken away."""
    file = Path(path) / "metrics.jsonl"
    if not file.exists():
        return []
    records = _parse(file, _read(file), lambda text: list(map(json.loads, text.split("\n")[:-1])))
    for record in records:
        if (
            not isinstance(record, dict)
            or type(record.get("epoch")) is not int
            or type(record.get("valid_loss")) not in (int, float)
        ):
            raise damaged(file, "each line needs a whole number epoch and a number valid_loss")
    return records


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise damaged(file, "it is missing") from None
    except OSError as error:
        raise damaged(file, f"it cannot be read: {error.strerror}") from None


def _parse(file: Path, data: bytes, parse: Callable[[str], Any]) -> Any:
    try:
        value = parse(data.decode("utf-8"))
        json.dumps(value, ensure_ascii=False).encode()  # halves of characters fail here
    except (ValueError, RecursionError) as error:
        raise damaged(file, str(error)) from None
    return value


def _check_unchanged(file: Path, data: bytes, config: RunConfig) -> None:
    if hashlib.sha256(data).hexdigest() != config.files.get(file.name):
        raise damaged(file, "its SHA-256 is not the one that config.json has for it")


def damaged(file: Path, why: str) -> RunDirectoryError:
    """The error for a file of a run that cannot be used."""
    why = why if len(why) <= 300 else f"{why[:300]}..."  # it may quote what the file holds
    return RunDirectoryError(f"{file}: damaged: {why}; bring the file back, or train again")


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent) + "\n"
