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
    from elman import view as view
    from elman.nn import RNN, Dynamics, RNNCell, Stateful, Stream, Wiring, convert, unconvert
    from elman.tasks import Classifier, Forecaster, Generator, load
    from elman.view.diagnose import diagnose

_HOMES = {
    "RNN": "elman.nn",
    "RNNCell": "elman.nn",
    "Dynamics": "elman.nn",
    "Wiring": "elman.nn",
    "Stateful": "elman.nn.stateful",
    "Stream": "elman.nn",
    "convert": "elman.nn",
    "unconvert": "elman.nn",
    "Classifier": "elman.tasks",
    "Forecaster": "elman.tasks",
    "Generator": "elman.tasks",
    "load": "elman.tasks",
    "diagnose": "elman.view.diagnose",
}
_ROOMS = ("models", "nn", "ops", "view")

__all__ = [
    "RNN",
    "Classifier",
    "Dynamics",
    "Forecaster",
    "Generator",
    "RNNCell",
    "Stateful",
    "Stream",
    "Wiring",
    "__version__",
    "convert",
    "diagnose",
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
