"""The training loop: epochs, clipping, early stopping, the best weights kept, checkpoints."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.errors import RunDirectoryError, TrainingError
from elman.train.checkpoint import Checkpoint, Position, Snapshot
from elman.train.lesson import Lesson, Plan
from elman.train.processes import of_the_first, parallel, rank, summed, world_size
from elman.train.spectrum import spectral_radii


@dataclass(frozen=True)
class Progress:
    """Where training stands, after a step or, with `record`, at the end of an epoch.

    Attributes:
        epoch, epochs: this one, from 1, and the most there will be.
        step, steps: this one of its epoch, from 1, and how many an epoch has.
        loss: of this step, or with `record` the mean over the epoch.
        elapsed: seconds of training so far.
        lr: the learning rate.
        record: the epoch's line for metrics.jsonl.
        sample: what the model writes at this point, where a task shows that.
        records: with `record`, those of all epochs so far, this one the last.
        page: makes report.html of what is known at this point, where a task does.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    elapsed: float
    lr: float = 0.0
    record: dict[str, Any] | None = None
    sample: str | None = None
    records: Sequence[dict[str, Any]] = ()
    page: Callable[[], str] | None = None

    @property
    def rate(self) -> float:
        """Steps a second so far."""
        return ((self.epoch - 1) * self.steps + self.step) / max(self.elapsed, 1e-9)

    @property
    def eta(self) -> float:
        """Seconds to the last epoch at the rate so far; early stopping may come sooner."""
        done = (self.epoch - 1) * self.steps + self.step
        return self.elapsed / done * (self.epochs * self.steps - done)


Report = Callable[[Progress], bool | None]


@dataclass
class History:
    """What happened.

    Attributes:
        records: figures of each epoch: "epoch", "loss", "grad_norm" (the mean over its steps,
            before clipping), "lr", "valid_loss", ..., "spectral_radius" of each recurrent weight
            by its name, and what `Lesson.notes` adds. Where training was stopped inside an
            epoch, the last tells of the part with "steps".
        interrupted: whether it was stopped before its time.
        steps: how many this call took; 0 where a finished training was resumed.
        resumed: the epoch from which it went on; None if it began at the beginning.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False
    steps: int = 0
    resumed: int | None = None

    @property
    def epochs(self) -> int:
        """The last epoch there is a record of; 0 if none."""
        return int(self.records[-1]["epoch"]) if self.records else 0

    @property
    def stopped(self) -> int | None:
        """After how many steps of the last epoch it was stopped; None if that was whole."""
        return self.records[-1].get("steps") if self.records else None

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, that of the lowest held-out loss; 0 if none."""
        if not self.records:
            return 0
        return int(min(self.records, key=lambda record: record["valid_loss"])["epoch"])


def train(
    lesson: Lesson,
    plan: Plan,
    *,
    report: Report | None = None,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Train `lesson.model` in place and leave it, in eval mode, with its best weights.

    Args:
        lesson: what to learn.
        plan: how.
        report: called after every step and epoch; True stops training after this step, and the
            weights are judged once more. Default: None.
        checkpoint: where to note how far it is, and whether to go on from there. The weights
            come out the same, bit for bit on a CPU, however often it was stopped.
            Default: None.

    Returns:
        The history. A KeyboardInterrupt ends training early, with the best weights so far.

    Raises:
        TrainingError: the loss or the gradient is not finite; says what to change.
        RunDirectoryError, SettingError: the checkpoint is damaged, of another training, or
            cannot be written.
    """
    run = _Run(lesson, plan, report, checkpoint)
    try:
        run.go()
    except KeyboardInterrupt:
        run.history.interrupted = True
    lesson.model.load_state_dict(run.best)
    lesson.model.eval()
    return run.history


class _Run:
    """One call of `train`."""

    def __init__(
        self, lesson: Lesson, plan: Plan, report: Report | None, checkpoint: Checkpoint | None
    ) -> None:
        self.lesson, self.plan, self.checkpoint = lesson, plan, checkpoint
        self.report = report
        self.model = lesson.model
        self.device = next(self.model.parameters()).device
        self.optimizer = torch.optim.AdamW(  # fused: one pass for all, which small steps feel
            self.model.parameters(), lr=plan.lr, weight_decay=plan.weight_decay, fused=True
        )
        self.history = History()
        self.best = copy.deepcopy(self.model.state_dict())
        self.at = Position(epoch=1, step=0)
        self.asked = self.stopping = False  # here; and agreed on by all processes
        if checkpoint is not None and (snapshot := checkpoint.read()) is not None:
            self._restore(snapshot)
        standing = [float(self.at.epoch), float(self.at.step)]
        if summed(standing, self.device) != [world_size() * place for place in standing]:
            raise TrainingError(
                "the processes do not stand at the same point: give --out a place all of them see"
            )
        self.network = parallel(self.model)
        self.began = time.monotonic() - self.at.elapsed

    def go(self) -> None:
        """Epoch after epoch, to the end of the plan or of patience."""
        if self.plan.judge_first and not self.history.records:
            figures = self._figures("before the first epoch")
            self.history.records.append({"epoch": 0, **figures, **self._notes(0)})
        while self.at.epoch <= self.plan.epochs and not self._out_of_patience():
            if self.stopping:
                self._write()
                self.history.interrupted = True
                return
            rng = np.random.default_rng([self.plan.seed, self.at.epoch])
            batches = self.lesson.batches(rng)
            if self._stopped_in(batches):
                self._write()
                self._judge(len(batches))
                self.history.interrupted = True
                return
            self._judge(len(batches))
            self.at.epoch, self.at.step = self.at.epoch + 1, 0
            self.at.loss_sum = self.at.norm_sum = 0.0
        if self.history.steps:
            self._write()

    def _out_of_patience(self) -> bool:
        return self.history.epochs - self.history.best_epoch >= self.plan.patience

    def _set_rate(self, step: int, steps: int) -> None:
        """The learning rate of a step of this epoch, from 0, where it has so many."""
        left = 1.0
        if self.plan.decay:
            left -= ((self.at.epoch - 1) * steps + step) / (self.plan.epochs * steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.lr * left

    @property
    def _rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def _stopped_in(self, batches: Any) -> bool:
        """Take the steps of an epoch that are not done yet; whether asked to stop on the way."""
        self.model.train()
        for batch in batches[self.at.step :]:
            self._set_rate(self.at.step, len(batches))
            seed = [self.plan.seed, self.at.epoch, self.at.step, rank()]
            _seed_torch(seed, self.device)
            save = self._step(batch, last=self.at.step + 1 == len(batches))
            self._tell(len(batches), self.loss)
            if self.stopping:
                return True
            if save:
                self._write()
        return False

    def _step(self, batch: Any, last: bool) -> bool:
        """One step; whether a checkpoint should follow it."""
        self.optimizer.zero_grad()
        with torch.enable_grad():
            total, count = self.lesson.loss(self.network, batch)
        due = self.checkpoint is not None and rank() == 0 and self.checkpoint.due()
        # with several processes the state carried lies in all of them: only the end of an
        # epoch, where there is none, can be noted
        count_all, loss_all, stop, save = summed(
            [count, total.item(), self.asked, due and (last or world_size() == 1)], self.device
        )
        self.stopping = stop > 0
        with torch.enable_grad():
            (total * (world_size() / count_all)).backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip).item()
        self.loss = loss_all / count_all
        where = f"in epoch {self.at.epoch}, step {self.at.step + 1}"
        self._check_finite({"loss": self.loss, "gradient's norm": norm}, where)
        self.optimizer.step()
        self.at.step += 1
        if last:
            self.lesson.carried = {}  # the next epoch begins anew
        self.at.loss_sum += self.loss
        self.at.norm_sum += norm
        self.history.steps += 1
        return save > 0

    def _tell(self, steps: int, loss: float, record: dict[str, Any] | None = None) -> None:
        if self.report is None:
            return
        at = self.at
        progress = Progress(
            epoch=at.epoch,
            epochs=self.plan.epochs,
            step=at.step,
            steps=steps,
            loss=loss,
            elapsed=time.monotonic() - self.began,
            lr=self._rate,
            record=record,
            records=() if record is None else self.history.records,
        )
        if self.report(progress):
            self.asked = True
            self.stopping = self.stopping or world_size() == 1

    def _judge(self, steps: int) -> None:
        """Look at the rows held out, note the epoch, keep the weights if they are the best."""
        at, taken = self.at, self.at.step
        self._set_rate(taken - 1, steps)  # of the last step, if that was before a restart too
        figures = self._figures(f"after epoch {at.epoch}")
        record: dict[str, Any] = {
            "epoch": at.epoch,
            "loss": at.loss_sum / taken,
            "grad_norm": at.norm_sum / taken,
            "lr": self._rate,
            **figures,
            **self._notes(at.epoch),
        }
        if taken < steps:
            record["steps"] = taken
        self.history.records.append(record)
        if min(self.history.records, key=lambda r: r["valid_loss"]) is record:
            self.best = copy.deepcopy(self.model.state_dict())
        self._tell(steps, record["loss"], record)

    def _figures(self, when: str) -> dict[str, float]:
        """How good the model is now on the rows held out."""
        self.model.eval()
        with torch.no_grad():
            figures = self.lesson.validate()
        agreed = of_the_first(list(figures.values()), self.device)
        figures = dict(zip(figures, agreed, strict=True))
        self._check_finite({"held-out loss": figures["valid_loss"]}, when)
        return figures

    def _notes(self, epoch: int) -> dict[str, Any]:
        """What else there is to say of the weights as they are now, in eval mode."""
        radii = spectral_radii(self.model)
        with torch.no_grad():
            notes = self.lesson.notes(epoch)
        return {**({"spectral_radius": radii} if radii else {}), **notes}

    def _check_finite(self, figures: dict[str, float], where: str) -> None:
        for name, figure in figures.items():
            if not math.isfinite(figure):
                raise TrainingError(
                    f"the {name} became {figure} {where}; lower the learning rate (it is "
                    f"{self._rate:g}) or the clipping (it is {self.plan.clip:g})"
                )

    def _write(self) -> None:
        if self.checkpoint is None or rank() > 0:
            return
        if world_size() > 1 and self.lesson.carried:
            return  # a part of the state carried lies in the other processes
        state = self.optimizer.state_dict()["state"]
        tensors = _under("model", self.model.state_dict()) | _under("best", self.best)
        tensors |= _under("carried", self.lesson.carried)
        for number, of_parameter in state.items():
            tensors |= _under(f"optimizer/{number}", of_parameter)
        self.at.elapsed = time.monotonic() - self.began
        self.at.records = self.history.records
        self.checkpoint.write(Snapshot(self.at, tensors))

    def _restore(self, snapshot: Snapshot) -> None:
        """Stand where the snapshot stands."""
        state = self.optimizer.state_dict()
        for name, tensor in snapshot.part("optimizer").items():
            number, _, key = name.partition("/")
            state["state"].setdefault(int(number), {})[key] = tensor
        try:
            self.model.load_state_dict(snapshot.part("model"))
            self.optimizer.load_state_dict(state)
            self.best = {
                name: self.best[name].copy_(t) for name, t in snapshot.part("best").items()
            }
        except (RuntimeError, ValueError, KeyError) as error:
            why = " ".join(str(error).split())
            raise RunDirectoryError(f"the checkpoint does not fit the network: {why}") from None
        self.lesson.carried = {
            name: tensor.to(self.device) for name, tensor in snapshot.part("carried").items()
        }
        self.at = snapshot.position
        self.history.records = self.at.records
        self.history.resumed = self.at.epoch


def _under(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}/{key}": tensor for key, tensor in tensors.items()}


def _seed_torch(seed: list[int], device: torch.device) -> None:
    """Seed torch's generators for one step: whatever came before makes no difference."""
    number = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(number)
