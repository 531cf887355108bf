"""The run directory: a trained model on disk that describes itself and is never half there.

    config.json         task, settings, classes, columns, versions, seed, data, metrics
    vocab.json          the tokens the model knows
    model.safetensors   the weights
    metrics.jsonl       a line for each epoch
    README.md           what this is, how good it is, how to use it

A run is written whole beside its place and then moved there. A run that was there before is
moved aside, not replaced. Nothing is ever unpickled.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    field_validator,
)
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from elman.errors import RunDirectoryError

FORMAT_VERSION = 1


class DataFacts(BaseModel):
    """The file a model learned from: its name, the SHA-256 of its bytes, how many rows."""

    file: str
    sha256: str
    rows: int


class HeldOut(BaseModel):
    """How good a model is on rows it never saw, beside always giving the commonest class."""

    rows: int
    accuracy: float
    majority: float


class About(BaseModel):
    """Where a run came from and how good it is, as far as known; other facts may be added.

    Attributes:
        columns: which column of a file is the "text", the "label", the "group".
        data, held_out: see their classes.
        command: what made it.
    """

    model_config = ConfigDict(extra="allow")

    columns: dict[str, str] = {}
    data: DataFacts | None = None
    held_out: HeldOut | None = None
    command: str | None = None


class RunConfig(BaseModel):
    """config.json.

    Attributes:
        format, format_version: what kind of directory this is.
        task: "classify".
        settings: the arguments of the task's class.
        classes: the answers, in the order of the scores.
        about: where it came from and how good it is.
        files: the SHA-256 of vocab.json and model.safetensors.
        versions: of elman, torch and Python when it was made.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["elman run"] = "elman run"
    format_version: int = FORMAT_VERSION
    task: str
    settings: dict[str, Any]
    classes: list[str] | list[StrictBool] | list[StrictInt] = Field(min_length=2)
    about: About = About()
    files: dict[str, str] = {}
    versions: dict[str, str] = {}

    @field_validator("classes")
    @classmethod
    def _each_once(cls, classes: list) -> list:
        if len(set(classes)) < len(classes):
            raise ValueError("each class should be there once")
        return classes


@dataclass
class NewRun:
    """A run being written.

    Attributes:
        target: where it will be.
        staging: the directory to write into until then.
        moved_aside: where an older run of that name went; None if there was none.
        whole: whether it was written to the end but could not be moved to its place.
    """

    target: Path
    staging: Path
    moved_aside: Path | None = None
    whole: bool = False


@contextmanager
def new_run(path: str | Path) -> Iterator[NewRun]:
    """A directory to write a run into, moved to `path` when the block ends without an error.

    Enter it before a long training: what would hinder the writing shows at once.

    Raises:
        RunDirectoryError: `path` is a file or holds other things, or cannot be written.
    """
    with _writing(Path(path)):
        _check_place(Path(path))
        target = Path(path).resolve()
        run = NewRun(target, target.with_name(f".{target.name}.partial-{uuid4().hex[:8]}"))
        run.staging.mkdir(parents=True)
        try:
            yield run
            _commit(run)
        finally:
            if not run.whole:
                shutil.rmtree(run.staging, ignore_errors=True)


def _check_place(target: Path) -> None:
    if target.resolve() in (here := Path.cwd().resolve(), *here.parents):
        raise RunDirectoryError(
            f"{target}: is or holds the current directory; choose a new one for --out"
        )
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise RunDirectoryError(
            f"{target}: there is a file or a link of this name; choose another --out"
        )
    if target.is_dir() and any(target.iterdir()) and not _is_run(target):
        raise RunDirectoryError(
            f"{target}: holds files that are not an elman run; choose a new directory for --out"
        )


def _is_run(directory: Path) -> bool:
    """Whether a directory says of itself that it is a run."""
    try:
        raw = json.loads((directory / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(raw, dict) and raw.get("format") == "elman run"


def _commit(run: NewRun) -> None:
    for file in run.staging.iterdir():
        _sync(file)
    _sync(run.staging)
    for attempt in range(10):  # another process may put a run there between two lines
        try:
            if run.target.is_dir():
                if any(run.target.iterdir()):
                    aside = _free_name(run.target)
                    run.target.rename(aside)
                    run.moved_aside = aside
                else:
                    run.target.rmdir()
            run.staging.rename(run.target)
            break
        except OSError as error:
            taken = error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
            if attempt == 9 or not taken:
                run.whole = True
                raise RunDirectoryError(
                    f"{run.target}: cannot be put in place: {error.strerror}; the new run is "
                    f"whole in {run.staging}"
                ) from error
    _sync(run.target.parent)


def identity(path: Path) -> int | None:
    """Which directory a path leads to now; another number once a new run is put there."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _free_name(target: Path) -> Path:
    number = 1
    while (aside := target.with_name(f"{target.name}.bak-{number}")).exists():
        number += 1
    return aside


def _sync(path: Path) -> None:
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
        raise RunDirectoryError(
            f"{path}: cannot be written: {why}; choose another --out"
        ) from error


def write_files(
    directory: Path,
    config: RunConfig,
    vocabulary: list[str],
    weights: dict[str, Tensor],
    records: list[dict[str, Any]],
    readme: str,
) -> None:
    """Write the files of a run into a directory that is there and empty."""
    files = {
        "vocab.json": _json({"tokens": vocabulary}, indent=0).encode(),
        "model.safetensors": save({k: tensor.cpu().contiguous() for k, tensor in weights.items()}),
    }
    config.files = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    files["config.json"] = _json(config.model_dump(), indent=2).encode()
    files["metrics.jsonl"] = "".join(_json(record) for record in records).encode()
    files["README.md"] = readme.encode()
    for name, data in files.items():
        (directory / name).write_bytes(data)


def read_config(path: str | Path, task: str | None = None) -> RunConfig:
    """The description of a run.

    Raises:
        RunDirectoryError: there is none, it is damaged, newer than this elman, or of another
            task than the one asked for.
    """
    path = Path(path)
    if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        raise RunDirectoryError(f"{path}: no such run directory; `elman train` makes one")
    if not (path / "config.json").is_file():
        raise RunDirectoryError(f"{path}: not a run directory, config.json is missing")
    raw = _parse(path / "config.json", _read(path / "config.json"), json.loads)
    if not isinstance(raw, dict) or raw.get("format") != "elman run":
        raise RunDirectoryError(f"{path}: config.json is not that of an elman run")
    version = raw.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise RunDirectoryError(
            f"{path}: written by a newer elman (format {version}, this one knows "
            f"{FORMAT_VERSION}); upgrade with pip install --upgrade elman"
        )
    try:
        config = RunConfig.model_validate(raw)
    except ValidationError as error:
        raise damaged(path / "config.json", first_problem(error)) from None
    if task is not None and config.task != task:
        raise RunDirectoryError(f"{path}: a run of the task {config.task!r}, {task!r} is needed")
    return config


def read_vocabulary(path: Path, config: RunConfig) -> list[str]:
    """The tokens of a run."""
    file = Path(path) / "vocab.json"
    data = _read(file)
    raw = _parse(file, data, json.loads)
    tokens = raw.get("tokens") if isinstance(raw, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise damaged(file, "it should hold a list of strings named tokens")
    _check_unchanged(file, data, config)
    return tokens


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
                f"{name} should be {tuple(want.shape)} of {want.dtype} to fit config.json and "
                f"vocab.json, got {tuple(have.shape)} of {have.dtype}",
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
    records = _parse(file, _read(file), lambda text: list(map(json.loads, text.splitlines())))
    for record in records:
        if (
            not isinstance(record, dict)
            or type(record.get("epoch")) is not int
            or type(record.get("valid_loss")) not in (int, float)
        ):
            raise damaged(file, "each line needs a whole number epoch and a number valid_loss")
    return records


def first_problem(error: ValidationError) -> str:
    """A pydantic error in a few words: which entry, what was wrong, what came."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return f"{where}: {problem['msg']}, got {problem['input']!r:.60}"


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
    return RunDirectoryError(f"{file}: damaged: {why}; bring the file back, or train again")


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent) + "\n"
