"""How much memory does a training step take? elman.RNN beside torch.nn.RNN, at its peak.

    python benchmarks/memory.py [--threads N]

Forward and backward to all weights, each layer and shape in a process of its own. What is counted
is what the process grows by at the most from the moment when everything is imported, input,
weights and cotangent are there, and a step over a single time step has been taken. Linux only:
the peak is that of /proc/self, set back at that moment. Exits with 1 where elman takes more than
torch.nn.RNN, or more than half of it with 500 steps and more; where torch.nn.RNN takes less than
8 MiB the pages of the allocator and of libraries decide, so such rows are shown but not judged.
"""

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from elman.bench import CASES, Case

LEAST = 8.0  # MiB
#: Beside the table's shapes, growing lengths of one.
LONG = [Case(f"long-{L}", 32, L, 128, 128, 1) for L in (500, 1000, 2000)]
SHAPES = {case.name: case for case in [*CASES.values(), *LONG] if not case.step}


def main() -> None:
    """Print the table, or, in the process of a row, its peak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", action="append", metavar="NAME", help="this shape; repeatable")
    parser.add_argument("--peak-of", nargs=2, metavar=("NAME", "LAYER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak_of:
        print(peak(SHAPES[asked.peak_of[0]], asked.peak_of[1], asked.threads))
        return
    if unknown := [name for name in asked.only or () if name not in SHAPES]:
        parser.error(f"--only {unknown[0]}: no such shape; there are {', '.join(SHAPES)}")
    above = 0
    print(f"{'shape':<10}  {'elman MiB':>9}  {'torch MiB':>9}  {'ratio':>5}  {'bar':>4}")
    for name in asked.only or SHAPES:
        ours, torchs = (measured(name, layer, asked.threads) for layer in ("elman", "torch"))
        bar = 0.5 if SHAPES[name].L >= 500 else 1.0
        verdict = "not judged" if torchs < LEAST else "above" if ours > bar * torchs else ""
        above += verdict == "above"
        ratio = f"{ours / torchs:>5.2f}" if torchs else "    -"
        line = f"{name:<10}  {ours:>9.1f}  {torchs:>9.1f}  {ratio}  {bar:>4}  {verdict}"
        print(line.rstrip(), flush=True)
    sys.exit(bool(above))


def measured(name: str, layer: str, threads: int) -> float:
    """MiB in a fresh process."""
    command = [sys.executable, __file__, "--threads", str(threads), "--peak-of", name, layer]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8")
    return float(done.stdout)


def peak(case: Case, name: str, threads: int) -> float:
    """MiB that a training step takes at the most, in this process."""
    import torch

    from elman.bench.layers import ElmanRNN, TorchRNN
    from elman.bench.work import new_work

    torch.set_num_threads(threads)
    kind = {"elman": ElmanRNN, "torch": TorchRNN}[name]
    kind(new_work(replace(case, L=1, lengths=None))).train()  # code and pools are there
    contestant = kind(new_work(case))
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak is now what there is
    before = _status("VmRSS")
    gradients = contestant.train()
    assert gradients
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    """A line of /proc/self/status, in KiB."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise KeyError(name)


if __name__ == "__main__":
    main()
