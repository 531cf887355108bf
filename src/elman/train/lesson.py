"""What a task tells the training loop: its network, its batches, its loss, how good it is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        epochs: the most passes over the data.
        lr, weight_decay: AdamW's.
        clip: the largest norm of the whole gradient.
        patience: epochs without a lower held-out loss before stopping.
        seed: of every random number drawn on the way.
        decay: let the rate fall in a straight line, step by step, to zero at the end of `epochs`.
        judge_first: look at the rows held out before the first step too, as epoch 0: the weights
            may be good as they begin.
    """

    epochs: int
    lr: float
    weight_decay: float = 0.0
    clip: float = 1.0
    patience: int = 1_000_000
    seed: int = 0
    decay: bool = False
    judge_first: bool = False


class Lesson(ABC):
    """One thing to learn.

    What it draws at random comes from the epoch's `rng` or, inside `loss`, from torch, which the
    loop seeds before every step. So nothing depends on where a training was interrupted.

    Attributes:
        model: its parameters are trained.
        carried: tensors handed from one batch to the next within an epoch, to be saved with a
            checkpoint: a recurrent state. Empty at the start of each epoch.
    """

    model: nn.Module
    carried: dict[str, Tensor]

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.carried = {}

    @abstractmethod
    def batches(self, rng: np.random.Generator) -> Sequence[Any]:
        """What `loss` takes, one after another, for one epoch."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, int]:
        """The summed loss over this process's share of a batch, and how many terms it sums.

        Args:
            network: to be called in the place of `model`, which it holds.
            batch: one of `batches`.
        """

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Figures on rows held out for stopping, "valid_loss" among them.

        Called in eval mode without gradients.
        """

    def notes(self, epoch: int) -> dict[str, Any]:
        """What else to note of an epoch that has been judged, for example a sample; as JSON.

        Called in eval mode without gradients, after `validate`; 0 is before the first step.
        Default: nothing.
        """
        return {}
