"""The packages of the extra "onnx", imported when they are first used."""

import importlib
from types import ModuleType

from elman.errors import SettingError


def needed(*names: str) -> list[ModuleType]:
    """The packages of these names.

    Raises:
        SettingError: one cannot be imported; says how to install it.
    """
    return [_imported(name) for name in names]


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        broken = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
        raise SettingError(
            f"ONNX: the package {name} is not installed{broken}; pip install 'elman[onnx]'"
        ) from None
