"""What the three `elman train` commands share: the run directory, signals, processes, the end."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from elman.cli.console import line, training_progress
from elman.cli.interrupt import Interrupt, one_interrupt

if TYPE_CHECKING:
    from elman.tasks.newrun import NewRun
    from elman.tasks.task import Task
    from elman.train import Progress, Report


@dataclass(frozen=True)
class Place:
    """Where and on what to train.

    Attributes:
        out: the run directory.
        resume: go on with the training that lies there.
        device, threads, deterministic: of torch.
    """

    out: Path
    resume: bool = False
    device: str = "cpu"
    threads: int = 1
    deterministic: bool = False


@dataclass
class Training:
    """A training under way: what to hand to `fit`, and how to end it."""

    place: Place
    run: "NewRun"
    interrupt: Interrupt

    @contextmanager
    def listening(self) -> "Iterator[dict[str, Any]]":
        """The arguments of `fit` that show how it goes and note where it stands."""
        with training_progress() as show:
            yield {
                "report": self._heeding(show),
                "checkpoint": self.run.checkpoint,
                "resume": self.run.resume or False,
            }

    def _heeding(self, show: "Callable[[Progress], None]") -> "Report":
        def report(progress: "Progress") -> bool:
            self.interrupt.deferred = True
            show(progress)
            return self.interrupt.asked

        return report

    def finish(self, model: "Task") -> None:
        """Write the run, unless another process does or there is nothing new."""
        from elman.train.processes import rank

        history = model.history_
        self.run.unchanged = history.steps == 0 and self.run.finished
        if rank() == 0 and not self.run.unchanged:
            model.about.command = shlex.join(["elman", *sys.argv[1:]])
            model.write(self.run.staging)

    def tell(self, model: "Task", head: str) -> None:
        """The network and what training came to."""
        history = model.history_
        weights = sum(parameter.numel() for parameter in model.model_.parameters())
        line("network", f"{model.describe()}{head}, {weights:,} weights")
        epochs = f"{history.epochs} epochs; kept the weights of {history.best_epoch}"
        if history.best_epoch == 0:
            epochs = f"{history.epochs} epochs, none better than the start; kept that"
        if history.resumed is not None and history.steps:
            epochs += f"; went on in epoch {history.resumed}"
        line("training", epochs)
        if history.resumed is not None and not history.steps:
            line("", "was finished already; --epochs or --patience above that go on with it")

    def end(self) -> None:
        """Where the run lies; and the exit code after Ctrl-C."""
        out = self.place.out
        if self.run.moved_aside:
            line(
                "moved", f"the run that was there is now {out.with_name(self.run.moved_aside.name)}"
            )
        line("saved", str(out))
        if self.interrupt.asked:
            print(
                f"interrupted: the best weights so far are saved in {out}; the same command with "
                "--resume goes on",
                file=sys.stderr,
            )
            raise typer.Exit(130)


@contextmanager
def training(place: Place) -> Iterator[Training]:
    """Everything around a training: enter it before, leave it when the run is written."""
    import torch

    from elman.tasks.newrun import replica, training_run
    from elman.train.processes import joined, rank

    torch.set_num_threads(place.threads)
    if place.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    with ExitStack() as stack:
        stack.enter_context(joined(place.device))
        interrupt = stack.enter_context(one_interrupt())
        if rank() > 0:  # one process speaks, to the end of the command, and writes
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
            yield Training(place, replica(place.out, place.resume), interrupt)
            return
        run = stack.enter_context(training_run(place.out, place.resume))
        if run.kept:
            line("kept", f"the checkpoint of an unfinished training, now {run.kept.name};")
            line("", "--resume would have gone on with it")
        yield Training(place, run, interrupt)
