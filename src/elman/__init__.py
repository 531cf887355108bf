"""elman: the recurrent-network toolkit for PyTorch.

The layer (`RNN`, `RNNCell`, `convert`), the classic models (`elman.models`), the jobs
(`Classifier`), and under them the recurrence itself (`elman.ops`). Names are loaded when
first used, so that `import elman` and `elman --help` stay quick.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from elman import models as models
    from elman import nn as nn
    from elman import ops as ops
    from elman.nn import RNN, RNNCell, Stream, convert, unconvert
    from elman.tasks import Classifier, Forecaster, Generator, load

_HOMES = {
    "RNN": "elman.nn",
    "RNNCell": "elman.nn",
    "Stream": "elman.nn",
    "convert": "elman.nn",
    "unconvert": "elman.nn",
    "Classifier": "elman.tasks",
    "Forecaster": "elman.tasks",
    "Generator": "elman.tasks",
    "load": "elman.tasks",
}
_ROOMS = ("models", "nn", "ops")

__all__ = [
    "RNN",
    "Classifier",
    "Forecaster",
    "Generator",
    "RNNCell",
    "Stream",
    "__version__",
    "convert",
    "load",
    "unconvert",
    *_ROOMS,
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"elman.{name}")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'elman' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if (
    "torch" in sys.modules
):  # so that a program of torch.export that holds the operators can be loaded
    importlib.import_module("elman.ops")
