"""What a network reads and says: all that is asked of a model before it is looked into."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from elman.view.chains import Loss
from elman.view.stack import Stack


@dataclass(frozen=True)
class Step:
    """One step of the input, as a person knows it.

    Attributes:
        label: the token, the time or the number.
        known: whether the vocabulary has it.
    """

    label: str
    known: bool = True


@dataclass(frozen=True)
class Reading:
    """A model and one input, made ready to be stepped through.

    Attributes:
        task: "classify", "generate", "forecast", or "layer" for a network whose job is not known.
        network: in a line.
        stack: the recurrent weights.
        x: what the lowest layer reads, (L, F).
        h_0: where each part of the stack begins, (H,).
        steps: L of them.
        inputs: what x_t is: "embedding", "numbers" or "vectors".
        loss, loss_facts: L for the backward pass, and what it is, for the page's words.
        outputs: what the model says at the steps from a first one on, for the page.
        top: the top layer's output from the model itself run in one go, (L, W).
        advice: what the training was told, for the page's words: init, clip.
        concat: whether the model is a `ConcatRNN`.
    """

    task: str
    network: str
    stack: Stack
    x: Tensor
    h_0: list[Tensor]
    steps: list[Step]
    inputs: str
    loss: Loss
    loss_facts: dict[str, Any]
    outputs: Callable[[int], dict[str, Any] | None]
    top: Tensor
    advice: dict[str, Any] = field(default_factory=dict)
    concat: bool = False


@contextmanager
def as_used(model: nn.Module) -> Iterator[None]:
    """Without dropout and gradients; every part of the model is left in the mode it was in."""
    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def shown(value: float) -> str:
    """A number as a label.

    >>> shown(5.0), shown(0.1 + 0.2), shown(123456.7)
    ('5', '0.3', '1.235e+05')
    """
    return f"{value:.4g}"
