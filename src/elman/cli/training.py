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
        again: how to go on after Ctrl-C, in words.
        log: "tensorboard" to log there too, beside the run directory.
    """

    out: Path
    resume: bool = False
    device: str = "cpu"
    threads: int = 1
    deterministic: bool = False
    again: str = "the same command with --resume goes on"
    log: str | None = None


@dataclass
class Training:
    """A training under way: what to hand to `fit`, and how to end it."""

    place: Place
    run: "NewRun"
    interrupt: Interrupt
    logged: Path | None = None

    @contextmanager
    def listening(self) -> "Iterator[dict[str, Any]]":
        """The arguments of `fit` that show how it goes and note where it stands."""
        with training_progress() as show, self._logging() as note:
            yield {
                "report": self._heeding(show, note, self._page()),
                "checkpoint": self.run.checkpoint,
                "resume": self.run.resume or False,
            }

    @contextmanager
    def _logging(self) -> "Iterator[Callable[[Progress], object]]":
        """What notes each epoch for TensorBoard, in the first process, if that is asked for."""
        from elman.data.places import free_name
        from elman.train.processes import rank
        from elman.train.tensorboard import TensorBoard

        if self.place.log is None or rank() > 0:
            yield lambda progress: None
            return
        folder = self.run.target.with_name(f"{self.run.target.name}.tensorboard")
        resumed = self.run.resume is not None
        if folder.exists() and not resumed:  # of another training
            folder.rename(free_name(folder))
        with TensorBoard(folder, resumed) as log:
            yield log
        if log.began:
            self.logged = folder

    def _page(self) -> "Callable[[Progress], object]":
        """What keeps report.html of the training under way, in the first process."""
        from elman.tasks.livepage import LivePage
        from elman.train.processes import rank

        if rank() > 0:
            return lambda progress: None
        return LivePage(self.run, self.place.out, lambda words: line("report", words))

    def _heeding(self, *listeners: "Callable[[Progress], object]") -> "Report":
        def report(progress: "Progress") -> bool:
            self.interrupt.deferred = True
            for listen in listeners:
                listen(progress)
            return self.interrupt.asked

        return report

    def finish(self, model: "Task") -> None:
        """Write the run, unless another process does or there is nothing new."""
        from elman.tasks.config import readable
        from elman.train.processes import rank, world_size

        run = self.run
        run.unchanged = run.finished and model.history_.steps == 0 and model.is_told_in(run.target)
        if rank() == 0 and not run.unchanged:
            together = world_size()
            start = ["elman"]
            if together > 1:
                start = ["torchrun", "--nproc-per-node", str(together), "-m", "elman"]
            model.about.command = readable(shlex.join([*start, *sys.argv[1:]]))
            model.write(run.staging)

    def tell(self, model: "Task", head: str) -> None:
        """The network and what training came to."""
        history = model.history_
        weights = sum(parameter.numel() for parameter in model.model_.parameters())
        line("network", f"{model.describe()}{head}, {weights:,} weights")
        epochs = "1 epoch" if history.epochs == 1 else f"{history.epochs} epochs"
        if history.stopped is not None:
            epochs += f", stopped after step {history.stopped} of the last"
        if history.best_epoch == 0:
            epochs += ", none better than the start; kept that"
        else:
            epochs += f"; kept the weights of {history.best_epoch}"
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
        line("unchanged" if self.run.unchanged else "saved", str(out))
        if self.logged is not None:
            line("logged", f"tensorboard --logdir {out.with_name(self.logged.name)}")
        if self.interrupt.asked:
            # several processes note where they stand at the end of an epoch only
            begun = (self.run.target / "checkpoint").is_dir()
            again = self.place.again if begun else "there is no checkpoint to go on from yet"
            if os.environ.get("RANK", "0") == "0":
                print(f"interrupted: the best weights so far are saved in {out}; {again}",
                      file=sys.stderr)  # fmt: skip
            raise typer.Exit(130)


@contextmanager
def training(place: Place) -> Iterator[Training]:
    """Everything around a training: enter it before, leave it when the run is written."""
    import torch

    from elman.tasks.newrun import replica, training_run
    from elman.train.processes import joined, rank, wait_for_all
    from elman.train.tensorboard import check_installed

    if place.log is not None:
        check_installed()
    torch.set_num_threads(place.threads)
    if place.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    with ExitStack() as stack:
        stack.enter_context(joined(place.device))
        interrupt = stack.enter_context(one_interrupt())
        if rank() > 0:  # one process speaks, to the end of the command, and writes
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
            wait_for_all()  # the checkpoint to go on from is settled
            yield Training(place, replica(place.out, place.resume), interrupt)
            return
        run = stack.enter_context(training_run(place.out, place.resume))
        wait_for_all()
        if run.kept:
            line("kept", f"the checkpoint of an unfinished training, now {run.kept.name};")
            line("", "--resume would have gone on with it")
        yield Training(place, run, interrupt)
