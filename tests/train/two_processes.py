"""What each of the processes does that `test_processes.py` starts: `... -m THIS FOLDER`."""

import json
import sys
from pathlib import Path

import torch

from elman.train import Checkpoint, Plan, train
from elman.train.processes import joined, rank, share, world_size
from tests.train.recurrent import Rows, Wave

SIZES = (7, 8, 1)  # the last batch of 41 rows has 6, 1 and 1
PLAN = Plan(epochs=3, lr=0.01, clip=0.5, weight_decay=0.1)


class Counted(Checkpoint):
    """Due after every step, and counts how often it is written."""

    written = 0

    def due(self):
        return True

    def write(self, snapshot):
        self.written += 1
        super().write(snapshot)


def outcome(lesson, history):
    """Weights and figures as JSON."""
    weights = {name: t.tolist() for name, t in lesson.model.state_dict().items()}
    return {
        "weights": weights, "records": history.records, "steps": history.steps,
        "interrupted": history.interrupted,
    }  # fmt: skip


def alone():
    """The same training by one process."""
    found = {}
    for size in SIZES:
        lesson = Rows(size)
        found[f"rows {size}"] = outcome(lesson, train(lesson, PLAN))
    return found


def resumed(folder):
    """Stopped in its second epoch, and gone on with."""
    path = folder / "resumed.safetensors"
    first, second = Rows(7), Rows(7)
    train(first, PLAN, report=lambda p: p.epoch == 2 and p.step == 3,
          checkpoint=Checkpoint(path, {"data": "rows"}))  # fmt: skip
    torch.distributed.barrier()  # the file is there for all
    return outcome(
        second, train(second, PLAN, checkpoint=Checkpoint(path, {"data": "rows"}, resume=path))
    )


def threads():
    """The names of this process's threads, where the system tells."""
    return [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]


def main():
    """Train together; leave what came of it in FOLDER/RANK.json."""
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    with joined("cpu"):
        assert world_size() == 2
        found = alone()
        found["shares"] = [share(torch.arange(n).numpy())[0].tolist() for n in (5, 2, 1)]
        found["weights"] = [share(torch.arange(n).numpy())[1] for n in (5, 2, 1)]

        lesson, steps = Rows(7), []
        history = train(  # only the second process is asked to stop, after its third step
            lesson, PLAN, report=lambda p: steps.append(p.step) or (rank() == 1 and p.step == 3)
        )
        found["stopped"] = outcome(lesson, history) | {"seen": steps}

        lesson = Wave()
        place = Counted(folder / f"rank-{rank()}.safetensors", {"data": "wave"})
        found["carried"] = outcome(lesson, train(lesson, PLAN, checkpoint=place))
        found["written"] = place.written
        found["resumed"] = resumed(folder)
        place = folder / f"{rank()}.json"
    found["threads left"] = [name for name in threads() if "gloo" in name]
    place.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
