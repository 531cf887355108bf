"""Models of every kind, as run directory and as ONNX file.

Importing this skips a file of tests where the packages of the extra "onnx" are not installed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman import Classifier, Forecaster, Generator
from elman.tasks.onnx.export import Exported
from tests.tasks import generators

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

#: As far as the issue lets two answers be apart, of probabilities: some hundred roundings.
NEAR = 1e-5
SMALL = {"hidden_size": 8, "epochs": 2, "lr": 0.02, "validation": 0.2}


@dataclass
class Case:
    """One model.

    Attributes:
        task: as it was fitted.
        run, file: where it lies, as directory and as ONNX file.
        exported: what was said of the file.
        asked: what it can be asked.
    """

    task: Any
    run: Path
    file: Path
    exported: Exported
    asked: Any

    def read(self) -> Any:
        """The model as it comes out of the file."""
        return type(self.task).load(self.file)


def texts(seed: int = 0, number: int = 60) -> list[str]:
    """Of many lengths; some characters are not known, one text is empty."""
    rng = np.random.default_rng(seed)
    return [
        "",
        *("".join(rng.choice(list("头痛发热咳 全新"), n)) for n in rng.integers(1, 40, number)),
    ]


def words(seed: int = 0, number: int = 60) -> list[str]:
    rng = np.random.default_rng(seed)
    known = ["fever", "cough", "pain", "none", "mild,"]
    return [" ".join(rng.choice(known, n)) for n in rng.integers(1, 12, number)]


def numbers(features: int, seed: int = 0, number: int = 60) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [3 * rng.standard_normal((n, features)) + 1 for n in rng.integers(1, 30, number)]


def series(columns: int = 1, rows: int = 140) -> np.ndarray:
    t = np.arange(rows)[:, None]
    return 10 * np.sin(2 * np.pi * t / (7 + np.arange(columns))) + t / 50


def _halves(X: list) -> list[str]:
    return ["ab"[k % 2] for k in range(len(X))]


def _classifier(X: list, **settings: Any) -> Classifier:
    model = Classifier(**({"embedding_size": 8} | SMALL | settings))
    known = [x for x in X if len(x)]
    return model.fit(known, _halves(known))


MAKERS = {
    "characters": lambda: (_classifier(texts()), texts(1)),
    "words": lambda: (
        _classifier(words(), level="word", num_layers=2, bidirectional=True),
        [*words(1), "", "quite new"],
    ),
    "numbers": lambda: (_classifier(numbers(1), nonlinearity="relu"), numbers(1, 1)),
    "many numbers": lambda: (
        _classifier(numbers(70), bidirectional=True, nonlinearity="identity"),
        numbers(70, 1),
    ),
    "generator": lambda: (
        Generator(**generators.SMALL, num_layers=2).fit(generators.TEXT), ["我爱", "", "全新"],
    ),
    "generator of words": lambda: (
        Generator(**generators.SMALL, level="word", max_vocab=5).fit(" ".join(words(2))), ["pain "],
    ),
    "forecaster": lambda: (Forecaster(horizon=3, hidden_size=8, epochs=2).fit(series()), series()),
    "forecaster of two": lambda: (
        Forecaster(horizon=2, hidden_size=8, epochs=2, num_layers=2, nonlinearity="relu").fit(
            series(2)
        ),
        series(2),
    ),
}  # fmt: skip


def case(name: str, folder: Path) -> Case:
    """The model of that name, fitted, saved and exported."""
    task, asked = MAKERS[name]()
    run = task.save(folder / "run")
    exported = task.to_onnx(folder / "model.onnx")
    return Case(task, run, folder / "model.onnx", exported, asked)


def session(file: Path) -> Any:
    """The file as any program may load it."""
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
