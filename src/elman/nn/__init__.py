"""The recurrent modules: parameters, shapes, dtypes and PackedSequence over `elman.ops`.

What begins or holds weights is loaded when first used, so that importing the layer stays quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

from elman.nn.cell import RNNCell
from elman.nn.convert import convert, unconvert
from elman.nn.dynamics import Dynamics
from elman.nn.rnn import RNN
from elman.nn.stream import Stream
from elman.nn.wiring import Wiring

if TYPE_CHECKING:
    from elman.nn.init import init_recurrent
    from elman.nn.memory import long_memory
    from elman.nn.parametrizations import Bounded, Dale, DropConnect, Integrator, Mask, constrain
    from elman.nn.penalties import activation_penalty, slowness_penalty
    from elman.nn.stateful import Stateful, truncated

_HOMES = {
    "init_recurrent": "elman.nn.init",
    "long_memory": "elman.nn.memory",
    "activation_penalty": "elman.nn.penalties",
    "slowness_penalty": "elman.nn.penalties",
    "Stateful": "elman.nn.stateful",
    "truncated": "elman.nn.stateful",
} | dict.fromkeys(
    ("Bounded", "Dale", "DropConnect", "Integrator", "Mask", "constrain"),
    "elman.nn.parametrizations",
)

__all__ = [
    "RNN",
    "Bounded",
    "Dale",
    "DropConnect",
    "Dynamics",
    "Integrator",
    "Mask",
    "RNNCell",
    "Stateful",
    "Stream",
    "Wiring",
    "activation_penalty",
    "constrain",
    "convert",
    "init_recurrent",
    "long_memory",
    "slowness_penalty",
    "truncated",
    "unconvert",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'elman.nn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
