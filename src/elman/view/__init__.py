"""What a trained network does, step by step: `elman.view(model, x)`, and pictures of it.

The room is called like a function, and holds others: `elman.view(...)` and
`elman.view.plot_states(...)` both work, since the module is of a class with `__call__`.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elman.view.show import View, view

_HOMES = {"View": "elman.view.show", "view": "elman.view.show"} | dict.fromkeys(
    ("plot_states", "plot_gradient_flow", "plot_spectrum"), "elman.view.plots"
)

__all__ = ["View", "view"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'elman.view' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> "View":
        """As `elman.view.show.view`."""
        from elman.view.show import view

        return view(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
