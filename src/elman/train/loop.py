"""The training loop: epochs, clipping, early stopping, the best weights kept."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from elman.errors import TrainingError

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Progress:
    """Where training stands, after a step or, with `record`, at the end of an epoch.

    Attributes:
        epoch, epochs: this one, from 1, and the most there will be.
        step, steps: this one of its epoch, from 1, and how many an epoch has.
        loss: of this step, or with `record` the mean over the epoch.
        elapsed: seconds since training began.
        record: the epoch's line for metrics.jsonl.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    elapsed: float
    record: dict[str, Any] | None = None

    @property
    def eta(self) -> float:
        """Seconds to the last epoch at the rate so far; early stopping may come sooner."""
        done = (self.epoch - 1) * self.steps + self.step
        return self.elapsed / done * (self.epochs * self.steps - done)


@dataclass
class History:
    """What happened.

    Attributes:
        records: figures of each epoch: "epoch", "loss", "grad_norm", "lr", "valid_loss", ...
        interrupted: whether Ctrl-C ended it.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, that of the lowest held-out loss; 0 if none."""
        if not self.records:
            return 0
        return int(min(self.records, key=lambda record: record["valid_loss"])["epoch"])


def train(
    model: nn.Module,
    *,
    batches: Callable[[], Sequence[Batch]],
    loss: Callable[[Batch], Tensor],
    validate: Callable[[], dict[str, float]],
    epochs: int,
    lr: float,
    weight_decay: float,
    clip: float,
    patience: int,
    report: Callable[[Progress], None] | None = None,
) -> History:
    """Train `model` in place and leave it, in eval mode, with its best weights.

    Args:
        model: its parameters are trained by AdamW.
        batches: makes the batches of one epoch, in the order to take them.
        loss: of the model on one batch, a mean over its rows.
        validate: figures on rows held out, "loss" among them: the weights with the lowest
            are kept. Called in eval mode without gradients.
        epochs: the most there will be.
        lr, weight_decay: AdamW's.
        clip: the largest norm of the whole gradient.
        patience: stop after so many epochs without a lower held-out loss.
        report: called after every step and epoch. Default: None.

    Returns:
        The history. Ctrl-C ends training early, with the best weights so far.

    Raises:
        TrainingError: the loss or the gradient is not finite; says what to change.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    history = History()
    best_state = copy.deepcopy(model.state_dict())
    began = time.monotonic()
    try:
        for epoch in range(1, epochs + 1):
            model.train()
            of_epoch = batches()
            losses, norms = [], []
            for step, batch in enumerate(of_epoch, start=1):
                optimizer.zero_grad()
                with torch.enable_grad():
                    value = loss(batch)
                value.backward()
                norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
                losses.append(value.item())
                norms.append(norm.item())
                where = f"in epoch {epoch}, step {step}"
                _check_finite({"loss": losses[-1], "gradient's norm": norms[-1]}, where, lr, clip)
                optimizer.step()
                if report:
                    elapsed = time.monotonic() - began
                    report(Progress(epoch, epochs, step, len(of_epoch), losses[-1], elapsed))
            held_out = _validated(model, validate)
            _check_finite({"held-out loss": held_out["loss"]}, f"after epoch {epoch}", lr, clip)
            mean = _mean(losses)
            record = {"epoch": epoch, "loss": mean, "grad_norm": _mean(norms), "lr": lr}
            record |= {f"valid_{name}": figure for name, figure in held_out.items()}
            history.records.append(record)
            if history.best_epoch == epoch:
                best_state = copy.deepcopy(model.state_dict())
            if report:
                elapsed = time.monotonic() - began
                steps = len(of_epoch)
                report(Progress(epoch, epochs, steps, steps, mean, elapsed, record))
            if epoch - history.best_epoch >= patience:
                break
    except KeyboardInterrupt:
        history.interrupted = True
    model.load_state_dict(best_state)
    model.eval()
    return history


def _validated(model: nn.Module, validate: Callable[[], dict[str, float]]) -> dict[str, float]:
    model.eval()
    with torch.no_grad():
        return validate()


def _check_finite(figures: dict[str, float], where: str, lr: float, clip: float) -> None:
    for name, figure in figures.items():
        if not math.isfinite(figure):
            raise TrainingError(
                f"the {name} became {figure} {where}; lower the learning rate (it is {lr:g}) or "
                f"the clipping (it is {clip:g})"
            )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
