"""Does an Elman layer remember? The adding problem over 600 steps, the copy task over 100.

    python benchmarks/long_memory.py [--task adding] [--seeds 3] [--jobs 2]

Trains the layer with the preset that docs/long_memory.md recommends from each seed, and from the
first, for comparison, the same layer with torch's first weights and torch's default layer, tanh;
all with the same optimizer, sizes, steps and data. Judged on rows drawn anew. Prints, and, where
all of it is run, writes benchmarks/results/long_memory.csv and docs/long_memory.svg. Seconds are
those of the processor. Exits with 1 where the preset misses the bar of 0.01 from any seed.
"""

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from long_memory_chart import chart
from torch import Tensor, nn
from torch.nn import functional

import elman
from elman.bench import write_rows

ROOT = Path(__file__).resolve().parent.parent
BAR, EVERY, SEEDS, TEST_ROWS = 0.01, 50, 3, 1000
COLUMNS = ("task", "layer", "seed", "step", "loss", "test_loss", "seconds")
SYMBOLS, WRITTEN = 8, 10  # of the copy task
BLANK, GO = SYMBOLS, SYMBOLS + 1
LAYERS = {
    "preset": "elman.nn.long_memory",
    "without": "the same layer, torch's first weights",
    "torch": "torch's default, tanh",
}
Row = dict[str, str]


def adding(N: int, T: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The adding problem of Hochreiter and Schmidhuber (1997), with numbers in [0, 1).

    Returns:
        x: (T, N, 2), a number and whether it is marked: one of each half of the steps is.
        y: (N,), the sum of the two. To answer 1 always has an error of 1/6.
    """
    numbers, marks = torch.rand(T, N, generator=generator), torch.zeros(T, N)
    rows = torch.arange(N)
    marks[torch.randint(T // 2, (N,), generator=generator), rows] = 1
    marks[torch.randint(T // 2, T, (N,), generator=generator), rows] = 1
    return torch.stack([numbers, marks], 2), (numbers * marks).sum(0)


def copying(N: int, T: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The copy task as Arjovsky, Shah, Bengio (2016, arXiv 1511.06464) have it.

    Returns:
        x: (T + 20, N, 10), one-hot: 10 of 8 symbols, T - 1 blanks, a sign to begin, 10 blanks.
        y: (T + 20, N), T + 10 blanks, then the 10 symbols in their order. Blanks and then a
            guess have a cross-entropy of 10 ln 8 / (T + 20).
    """
    symbols = torch.randint(SYMBOLS, (WRITTEN, N), generator=generator)

    def blanks(steps: int) -> Tensor:
        return torch.full((steps, N), BLANK)

    read = torch.cat([symbols, blanks(T - 1), torch.full((1, N), GO), blanks(WRITTEN)])
    written = torch.cat([blanks(T + WRITTEN), symbols])
    return functional.one_hot(read, SYMBOLS + 2).float(), written


class Network(nn.Module):
    """A layer and a linear head, on the last state or on all."""

    def __init__(self, task: "Task", layer: str) -> None:
        super().__init__()
        nonlinearity = "tanh" if layer == "torch" else task.nonlinearity
        self.rnn = elman.RNN(task.inputs, task.H, nonlinearity=nonlinearity)
        self.linear = nn.Linear(task.H, task.outputs)
        self.last = task.outputs == 1
        if layer == "preset":
            elman.nn.long_memory(self.rnn, task.memory)

    def forward(self, x: Tensor) -> Tensor:
        """(N,) of a number for each row, or (L, N, classes)."""
        output, h_n = self.rnn(x)
        return self.linear(h_n[0])[:, 0] if self.last else self.linear(output)


def squared_error(answers: Tensor, y: Tensor) -> Tensor:
    """The mean over the rows."""
    return functional.mse_loss(answers, y)


def cross_entropy(scores: Tensor, y: Tensor) -> Tensor:
    """The mean over all steps of all rows, in nats."""
    return functional.cross_entropy(scores.flatten(0, 1), y.flatten())


@dataclass(frozen=True)
class Task:
    """What is learned, and how."""

    name: str
    draw: Callable[[int, int, torch.Generator], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    T: int
    inputs: int
    outputs: int
    baseline: float
    memory: str
    nonlinearity: str
    H: int
    N: int
    steps: int
    lr: float


TASKS = {
    task.name: task
    for task in (
        Task("adding", adding, squared_error, 600, 2, 1, 1 / 6, "sum", "relu", 64, 32, 1200, 2e-3),
        Task(
            "copy", copying, cross_entropy, 100, SYMBOLS + 2, SYMBOLS + 1,
            WRITTEN * math.log(SYMBOLS) / (100 + 2 * WRITTEN), "order", "identity",
            128, 32, 1500, 1e-3,
        ),
    )
}  # fmt: skip


def train(task: Task, layer: str, seed: int) -> list[Row]:
    """The curve, a row each `EVERY` steps. Adam, a rate that falls to 0, clipping at 1."""
    torch.manual_seed(seed)
    network = Network(task, layer)
    optimizer = torch.optim.Adam(network.parameters(), task.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.steps)
    # never the same rows: other seeds for what is learned and for what is judged
    learned, judged = (torch.Generator().manual_seed(2 * seed + k) for k in (1_000, 1_001))
    began, losses, rows = time.process_time(), [], []
    for step in range(1, task.steps + 1):
        x, y = task.draw(task.N, task.T, learned)
        loss = task.loss(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % EVERY == 0:
            with torch.no_grad():
                x, y = task.draw(TEST_ROWS, task.T, judged)
                test_loss = task.loss(network(x), y).item()
            mean, losses = sum(losses) / len(losses), []
            values = (task.name, layer, seed, step, f"{mean:.6f}", f"{test_loss:.6f}")
            seconds = f"{time.process_time() - began:.1f}"
            rows.append(dict(zip(COLUMNS, (*map(str, values), seconds), strict=True)))
    return rows


def main() -> None:
    """Train, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, help="this one only; nothing is written")
    parser.add_argument("--layer", choices=LAYERS, help="this one only; nothing is written")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"of the preset ({SEEDS})")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time (2)")
    asked = parser.parse_args()
    for name in ("seeds", "jobs"):
        if getattr(asked, name) < 1:
            parser.error(f"--{name} should be 1 or more, got {getattr(asked, name)}")
    runs = [
        (task, layer, seed)
        for task in ([asked.task] if asked.task else TASKS)
        for layer in ([asked.layer] if asked.layer else LAYERS)
        for seed in range(asked.seeds if layer == "preset" else 1)
    ]
    rows: list[Row] = []
    missed = 0
    with ProcessPoolExecutor(asked.jobs, multiprocessing.get_context("spawn")) as pool:
        for (name, layer, seed), curve in zip(runs, pool.map(run, runs), strict=True):
            rows += curve
            missed += judge(TASKS[name], layer, seed, curve)
    if not (asked.task or asked.layer) and asked.seeds >= SEEDS:
        write(rows)
    print(f"{missed} of the preset's runs missed the bar")
    sys.exit(bool(missed))


def run(named: tuple[str, str, int]) -> list[Row]:
    """One training, on one thread: whatever runs beside it, the same numbers."""
    torch.set_num_threads(1)
    name, layer, seed = named
    return train(TASKS[name], layer, seed)


def write(rows: list[Row]) -> None:
    """The table and the picture."""
    results = ROOT / "benchmarks" / "results" / "long_memory.csv"
    write_rows(results, rows, COLUMNS)
    (ROOT / "docs" / "long_memory.svg").write_text(chart(rows), "utf-8")
    print(f"wrote {results.relative_to(ROOT)} and docs/long_memory.svg")


def judge(task: Task, layer: str, seed: int, curve: list[Row]) -> bool:
    """Print how a run ended; whether it is the preset's and missed the bar."""
    last = curve[-1]
    below = [row["step"] for row in curve if float(row["test_loss"]) < BAR]
    reached = f"below {BAR} first at step {below[0]}" if below else f"never below {BAR}"
    print(
        f"{task.name:<6}  {LAYERS[layer]:<38}  seed {seed}: {last['test_loss']} after "
        f"{last['step']} steps, {float(last['seconds']):.0f} s; {reached}; to remember nothing is "
        f"{task.baseline:.4f}",
        flush=True,
    )
    return layer == "preset" and not float(last["test_loss"]) < BAR


if __name__ == "__main__":
    main()
