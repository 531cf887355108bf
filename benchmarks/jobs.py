"""Whole trainings, data and all: elman.RNN beside torch.nn.RNN in the very same loop.

    python benchmarks/jobs.py [--threads N] [--repeats N]

chinese, english: characters a second of the `Generator` on the example sentences, and on Python's
own help pages, as in `elman demo`; 32 streams in chunks of 128, hidden size 128. classify: terms
a second of the `Classifier` on the medical terms, as they come. In the rival's training
`elman.unconvert` makes the network's layer a torch.nn.RNN of the same weights before the first
step; everything else is the project's own. The first step's losses are held equal, then the two
take turns. Exits with 1 where a ratio is below its bar.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import elman
from elman.bench.report import commit
from elman.bench.timing import ratio, spread
from elman.cli.demo import english_text
from elman.data import read_table, read_text
from elman.tasks import Classifier, Generator
from elman.tasks.classify import classifier
from elman.tasks.generate import generator
from elman.train import Progress

DATA = Path(__file__).resolve().parent.parent / "examples" / "data"
FIRST, LAST = 5, 65  # steps between which the clock runs
# A loss is a mean of terms, each of some 2H = 256 roundings on its way and as many in its head:
# four standard deviations of their walk, see tests/tolerances.py
CLOSE = 4 * math.sqrt(512 / 12) * torch.finfo(torch.float32).eps


class Watch:
    """Follows a training: the first step's loss, and seconds from step FIRST to step LAST."""

    def __init__(self) -> None:
        self.steps, self.loss, self.began, self.seconds = 0, math.nan, 0.0, math.nan

    def __call__(self, progress: Progress) -> bool:
        """Whether it has seen enough."""
        if progress.record is not None:
            return False
        self.steps += 1
        if self.steps == 1:
            self.loss = progress.loss
        if self.steps == FIRST:
            self.began = time.perf_counter()
        if self.steps == LAST:
            self.seconds = time.perf_counter() - self.began
            assert progress.epoch == 1, "the clock should not run while the model is judged"
        return self.steps >= LAST


def chinese(watch: Watch) -> float:
    """Train; how many characters were read while the clock ran."""
    return generate(read_text(DATA / "sentences_zh.txt").text, watch)


def english(watch: Watch) -> float:
    """The same; fewer different characters make a smaller head."""
    return generate(english_text().text, watch)


def generate(text: str, watch: Watch) -> float:
    """Train on a text."""
    model = Generator(hidden_size=128, chunk=128, batch_size=32, epochs=100, patience=100)
    times = math.ceil(36 * 128 * LAST / len(text))  # so that one epoch has all the steps
    model.fit(text * times, report=watch)
    return 32 * 128 * (LAST - FIRST)


def classify(watch: Watch) -> float:
    """Train; how many terms were read while the clock ran."""
    rows = read_table(DATA / "terms_zh.csv")
    texts, labels, groups = (rows.column(name) for name in ("term", "label", "group"))
    model = Classifier(epochs=100, patience=100)
    model.fit(texts, labels, groups, report=watch)
    return model.batch_size * (LAST - FIRST)


#: The job, its unit, the module whose `new_network` makes its network, the ratio wanted.
JOBS: dict[str, tuple[Callable[[Watch], float], str, Any, float]] = {
    "chinese": (chinese, "characters/s", generator, 3.0),
    "english": (english, "characters/s", generator, 3.0),
    "classify": (classify, "terms/s", classifier, 2.0),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    below = 0
    print(f"{'job':<9} {'layer':<13} {'median':>9} {'± iqr':>7}  unit")
    for name, (job, unit, module, bar) in JOBS.items():
        seconds, amount = by_turns(job, module, asked.repeats)
        for layer, times in seconds.items():
            rates = [amount / t for t in times]
            print(
                f"{name:<9} {layer:<13} {statistics.median(rates):>9.0f} "
                f"{spread(rates):>7.0f}  {unit}"
            )
        times_as_fast = ratio(seconds["elman.RNN"], seconds["torch.nn.RNN"])
        short = times_as_fast < bar
        below += short
        print(
            f"{name:<9} elman is {times_as_fast:.2f}×, bar {bar:g}{'  below' * short}", flush=True
        )
    plural = "s" * (asked.threads != 1)
    print(
        f"elman {elman.__version__} ({commit() or 'no checkout'}), torch {torch.__version__}, "
        f"{asked.threads} thread{plural}, {asked.repeats} repeats by turns"
    )
    sys.exit(bool(below))


def by_turns(
    job: Callable[[Watch], float], module: Any, repeats: int
) -> tuple[dict[str, list[float]], float]:
    """Seconds of each repeat by layer, and the amount read in them."""
    ours = module.new_network

    def torchs(*arguments: Any) -> Any:
        network = ours(*arguments)
        assert elman.unconvert(network) == 1
        return network

    contestants = {"elman.RNN": ours, "torch.nn.RNN": torchs}
    seconds: dict[str, list[float]] = {layer: [] for layer in contestants}
    order, amount, losses = list(contestants), 0.0, {}
    for _ in range(repeats):
        for layer in order:
            watch = Watch()
            with patch.object(module, "new_network", contestants[layer]):
                amount = job(watch)
            seconds[layer].append(watch.seconds)
            losses[layer] = watch.loss
        order.reverse()
        first, second = losses.values()
        if not abs(first - second) <= CLOSE * abs(first):
            sys.exit(f"the first losses differ, so nothing is said of speed: {losses}")
    return seconds, amount


if __name__ == "__main__":
    main()
