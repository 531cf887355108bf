"""What the arguments of an `RNN` must be, and the words for what does not fit."""

import numbers
import operator
import warnings

from elman.nn.dynamics import Dynamics
from elman.nn.wiring import Wiring
from elman.ops.activations import NONLINEARITIES

#: The nonlinearities and the names torch gives the modes; all but two are elman's own.
MODES = {name: f"RNN_{name.upper()}" for name in NONLINEARITIES}
#: Those that torch.nn.RNN has.
OF_TORCH = ("tanh", "relu")


def of_mode(mode: str) -> str:
    """The nonlinearity that torch means by a mode: it computes what that says, nothing else."""
    return next(f for f, known in MODES.items() if known == mode)


def check_arguments(
    input_size: object,
    hidden_size: object,
    num_layers: object,
    nonlinearity: object,
    flags: dict[str, object],
    dropout: object,
) -> None:
    """What torch.nn.RNN has, with its exceptions; of a function it is said that it is slow."""
    if callable(nonlinearity):
        warnings.warn(
            f"nonlinearity={nonlinearity!r} runs in a plain loop over torch's operators; compiled "
            f"kernels have {', '.join(MODES)}",
            stacklevel=3,
        )
    elif not isinstance(nonlinearity, str) or nonlinearity not in MODES:
        known = ", ".join(map(repr, MODES))
        raise ValueError(f"nonlinearity should be one of {known}, got {nonlinearity!r}")
    float(dropout)  # type: ignore[arg-type]  # TypeError for what is no number, as torch
    number = isinstance(dropout, numbers.Number) and not isinstance(dropout, bool)
    if not number or not 0 <= dropout <= 1:  # type: ignore[operator]
        raise ValueError(f"dropout should be a number in [0, 1], a probability, got {dropout!r}")
    if dropout and num_layers == 1:
        warnings.warn(
            "dropout acts on the outputs of every layer but the last, so with num_layers=1 "
            f"dropout={dropout} does nothing",
            stacklevel=3,
        )
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name} should be a bool, got {type(flag).__name__}")
    for name, size in (
        ("input_size", input_size),
        ("hidden_size", hidden_size),
        ("num_layers", operator.index(num_layers)),  # type: ignore[arg-type]
    ):
        if not isinstance(size, int):
            raise TypeError(f"{name} should be an int, got {type(size).__name__}")
        if size <= 0:
            raise ValueError(f"{name} should be greater than zero, got {size}")


def check_extensions(dynamics: object, wiring: object, checkpoint_every: object) -> None:
    """What torch.nn.RNN does not have, each on its own."""
    for name, given, kind in (("dynamics", dynamics, Dynamics), ("wiring", wiring, Wiring)):
        if given is not None and not isinstance(given, kind):
            raise TypeError(f"{name} should be an elman.{kind.__name__}, got {given!r}")
    if checkpoint_every is None:
        return
    if isinstance(checkpoint_every, bool) or not isinstance(checkpoint_every, int):
        raise TypeError(f"checkpoint_every should be an int, got {checkpoint_every!r}")
    if checkpoint_every < 1:
        raise ValueError(f"checkpoint_every should be at least 1, got {checkpoint_every}")
