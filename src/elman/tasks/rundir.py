"""The run directory: a trained model on disk that describes itself.

    config.json         task, settings, columns, versions, seed, data, figures
    vocab.json          the tokens a model of text knows
    scaling.json        the scale of the numbers a model of numbers knows
    model.safetensors   the weights
    metrics.jsonl       a line for each epoch
    report.html         how it learned and how good it is, to look at
    report.json         what that shows besides metrics.jsonl, where there is such
    checkpoint/         where the training stood at its end, to go on from
    README.md           what this is, how good it is, how to use it

`elman.tasks.newrun` puts it in its place, `elman.tasks.documents` knows what its JSON files mean.
Nothing is ever unpickled.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from elman.errors import RunDirectoryError
from elman.tasks.config import RunConfig, first_problem
from elman.tasks.documents import (
    CONFIG,
    Documents,
    as_json,
    check_unchanged,
    damaged,
    packed,
    parsed,
)
from elman.tasks.evidence import Evidence
from elman.tasks.newrun import unfinished
from elman.tasks.onnx.ports import Ports

_WEIGHTS, _METRICS, _REPORT = "model.safetensors", "metrics.jsonl", "report.json"
_REPORT_FORMAT = "elman report 1"
_WITHOUT = "remove it: the model is whole without"


def write_files(
    directory: Path,
    config: RunConfig,
    documents: dict[str, Any],
    weights: dict[str, Tensor],
    records: list[dict[str, Any]],
    evidence: Evidence | None,
    pages: dict[str, str],
) -> None:
    """Write the files of a run into a directory that is there and empty.

    Args:
        directory: the place.
        config: goes to config.json, with the hashes of the files filled in.
        documents: what else was learned, as JSON under the names of the files: vocab.json, ...
        weights, records, evidence: go to model.safetensors, metrics.jsonl and report.json.
        pages: to read, by the names of the files.
    """
    tensors = save({k: t.cpu().contiguous() for k, t in weights.items()})
    config.files = {_WEIGHTS: hashlib.sha256(tensors).hexdigest()}
    files = {_WEIGHTS: tensors, **packed(config, documents)}
    files[_METRICS] = "".join(as_json(record) for record in records).encode()
    if evidence is not None:
        shown = {"format": _REPORT_FORMAT, "evidence": evidence.model_dump()}
        files[_REPORT] = as_json(shown).encode()
    files |= {name: page.encode() for name, page in pages.items()}
    for name, data in files.items():
        (directory / name).write_bytes(data)


class RunDirectory(Documents):
    """A run directory to read.

    Args:
        path: of the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes:
        """A file; of config.json it is said what its absence means."""
        if name == CONFIG:
            _check_there(self.path)
        return _read(self.path / name)

    def network(self, config: RunConfig, plan: Callable[[], nn.Module], ports: Ports) -> nn.Module:
        """The network, with the weights of model.safetensors."""
        with torch.device("meta"):  # shapes only: nothing is drawn, nothing allocated
            model = plan()
        model.load_state_dict(self._weights(config, model.state_dict()), assign=True)
        return model.eval()

    def _weights(self, config: RunConfig, expected: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights, with names, shapes and dtypes as in `expected`."""
        data = self.read(_WEIGHTS)
        try:
            weights = load(data)
        except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
            raise self.damaged(_WEIGHTS, str(error)) from None
        if odd := sorted(set(weights) ^ set(expected)):
            raise self.damaged(
                _WEIGHTS, f"it does not fit config.json: {odd[0]} is missing or too many"
            )
        for name, want in expected.items():
            have = weights[name]
            if have.shape != want.shape or have.dtype != want.dtype:
                raise self.damaged(
                    _WEIGHTS,
                    f"{name} should be {tuple(want.shape)} of {want.dtype} to fit the other "
                    f"files, got {tuple(have.shape)} of {have.dtype}",
                )
            if not torch.isfinite(have).all():
                raise self.damaged(_WEIGHTS, f"{name} holds numbers that are not finite")
        check_unchanged(self, _WEIGHTS, data, config)
        return weights

    def records(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; none if the file was taken away."""
        if not (self.path / _METRICS).exists():
            return []
        records = parsed(
            self,
            _METRICS,
            self.read(_METRICS),
            lambda text: list(map(json.loads, text.split("\n")[:-1])),
        )
        for record in records:
            if (
                not isinstance(record, dict)
                or type(record.get("epoch")) is not int
                or type(record.get("valid_loss")) not in (int, float)
            ):
                raise self.damaged(
                    _METRICS, "each line needs a whole number epoch and a number valid_loss"
                )
        return records

    def evidence(self, kind: type[Evidence]) -> Evidence | None:
        """What report.json holds; None if it is not there, as in older runs, or of a newer form."""
        file = self.path / _REPORT
        if not file.exists():
            return None
        raw = parsed(self, _REPORT, self.read(_REPORT), json.loads)
        if not isinstance(raw, dict) or not isinstance(raw.get("format"), str):
            raise damaged(file, "it should name its format", _WITHOUT)
        if raw["format"] != _REPORT_FORMAT:
            return None
        try:
            return kind.model_validate(raw.get("evidence"))
        except ValidationError as error:
            raise damaged(file, ": ".join(first_problem(error)), _WITHOUT) from None

    def damaged(self, name: str, why: str) -> RunDirectoryError:
        """The error for a file of the run."""
        return damaged(self.path / name, why, *([_WITHOUT] if name in (_REPORT, _METRICS) else []))


def _check_there(path: Path) -> None:
    if os.path.isfile(path):  # noqa: PTH113 - as the next
        raise RunDirectoryError(
            f"{path}: is a file; a run directory is needed, or an exported model, whose name ends "
            "with .onnx"
        )
    if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        raise RunDirectoryError(f"{path}: no such run directory; `elman train` makes one")
    if (path / CONFIG).is_file():
        return
    if unfinished(path):
        raise RunDirectoryError(
            f"{path}: its training is not finished; give the command that began it again, "
            "with --resume"
        )
    raise RunDirectoryError(f"{path}: not a run directory, config.json is missing")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise damaged(file, "it is missing") from None
    except OSError as error:
        raise damaged(file, f"it cannot be read: {error.strerror}") from None
