"""Swap torch's recurrent modules for elman's inside a model, and back."""

from typing import Any

from torch import nn
from torch.nn.modules import rnn as torchs  # its classes, also where torch.nn.RNN was replaced
from torch.nn.utils import parametrize

from elman.nn.arguments import MODES, OF_TORCH, of_mode
from elman.nn.cell import RNNCell
from elman.nn.rnn import RNN

_TO_ELMAN: dict[type, type] = {torchs.RNN: RNN, torchs.RNNCell: RNNCell}
_TO_TORCH: dict[type, type] = {ours: theirs for theirs, ours in _TO_ELMAN.items()}
#: What torch.nn.RNN keeps beside its parameters and elman.RNN has no use for.
_TORCH_CACHES = ("_flat_weights", "_flat_weights_names", "_flat_weight_refs")


def convert(model: nn.Module) -> int:
    """Make every torch.nn.RNN and RNNCell inside `model`, or `model` itself, elman's.

    In place: each module stays the same object, with the very same parameters, buffers,
    hooks and parametrizations; only its class changes. Optimisers and other references go
    on working. Subclasses are left alone.

    Args:
        model: any module.

    Returns:
        How many modules were swapped.

    Raises:
        TypeError: `model` is not a module.

    >>> model = nn.Sequential(nn.RNN(3, 4), nn.Linear(4, 2))
    >>> convert(model)
    1
    >>> type(model[0])
    <class 'elman.nn.rnn.RNN'>
    """
    return _swap(model, _TO_ELMAN, _settle_as_elman)


def unconvert(model: nn.Module) -> int:
    """Undo `convert`: every elman.RNN and RNNCell inside `model` becomes torch's.

    Args:
        model: any module.

    Returns:
        How many modules were swapped.

    Raises:
        ValueError: a module has what torch's has not, a nonlinearity, dynamics or a wiring;
            nothing is swapped then.

    >>> model = nn.Sequential(RNN(3, 4))
    >>> unconvert(model), model
    (1, Sequential(
      (0): RNN(3, 4)
    ))
    """
    _check_module(model)
    for name, module in model.named_modules():
        if _kind(module) not in _TO_TORCH:
            continue
        where = name or "the model itself"
        if module.nonlinearity not in OF_TORCH:
            f = module.nonlinearity
            raise ValueError(f"{where}: torch.nn has no RNN with nonlinearity={f!r}")
        for what in ("dynamics", "wiring", "checkpoint_every"):
            if getattr(module, what, None) is not None:
                raise ValueError(
                    f"{where}: torch.nn has no RNN with {what}={getattr(module, what)}"
                )
    return _swap(model, _TO_TORCH, _settle_as_torch)


def _swap(model: nn.Module, classes: dict[type, type], settle: Any) -> int:
    _check_module(model)
    swapped = 0
    for module in model.modules():
        old, kind = type(module), _kind(module)
        if kind not in classes:
            continue
        new = classes[kind]
        module.__class__ = new if old is kind else type(old.__name__, (new,), dict(vars(old)))
        settle(module)
        swapped += 1
    return swapped


def _check_module(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model should be a torch.nn.Module, got {type(model).__name__}")


def _kind(module: nn.Module) -> type:
    """A module's class; beneath the class of its own that torch gives a parametrised one."""
    kind = type(module)
    return kind.__bases__[0] if parametrize.is_parametrized(module) else kind


def _settle_as_elman(module: nn.Module) -> None:
    for name in _TORCH_CACHES:
        vars(module).pop(name, None)
    if isinstance(module, RNN):
        module.nonlinearity = of_mode(vars(module).pop("mode"))  # which elman has alone


def _settle_as_torch(module: nn.Module) -> None:
    if isinstance(module, torchs.RNN):
        module.mode = MODES[module.nonlinearity]
        module._flat_weights_names = [name for names in module._all_weights for name in names]
        module._init_flat_weights()
