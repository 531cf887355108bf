"""elman.RNN against torch.nn.RNN (cuDNN) on an NVIDIA GPU: built, held to float64, then timed.

    pip install -c constraints.txt '.[triton]' && python benchmarks/gpu.py [--only NAME] [--write]
    python benchmarks/gpu.py --dry

Every row of `TABLE`, and of the grid for as long as the minutes last: a training step, forward and
backward to the input and all weights, of torch.nn.RNN and of elman.RNN with the same weights, turn
by turn in one process, medians by CUDA events; where Triton's kernels keep the weight also of
elman.RNN held to them. The gate comes first: output, h_n and every gradient are held against
torch.nn.RNN in float64, and an error may be twice that of torch.nn.RNN in the same dtype and a few
ulps (`elman.bench.gate`); and elman has to give the same bits twice. float32 is true float32 for
all of them: TF32 is off. Of derivatives of derivatives the rival is torch.nn.RNN with cuDNN off,
which has none; of a forward pass, without gradients, the bar is in microseconds a step.

`--write` keeps the table, with the card's name, in benchmarks/results/gpu.csv, and draws it,
docs/gpu.svg. Exits with 1 where elman is below its bar, with 2 on a red gate or without a GPU.
`--dry` runs all of it at tiny sizes on the CPU, the kernels in Triton's interpreter, and its times
say nothing. `--flashrnn` has FlashRNN (`flash_rnn.py`) run in the two rows that are its case too.
"""

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import metadata, util
from itertools import product
from pathlib import Path
from typing import NamedTuple

import flash_rnn
import torch
from gpu_chart import picture
from torch import Tensor, nn

import elman
from elman.bench import Case
from elman.bench.gate import RedGateError, few_ulps
from elman.bench.report import commit, today, write_rows
from elman.bench.timing import spread
from elman.ops import select, use_backend

RESULTS = Path(__file__).resolve().parent / "results" / "gpu.csv"
PICTURE = RESULTS.parent.parent.parent / "docs" / "gpu.svg"
MOST = 256  # steps that the gate looks at, where rows are not packed
HEAD = f"  {'case':<34} {'shape':<44} {'torch':>10}    {'elman':>14}  wanted"


class Entry(NamedTuple):
    """A row of the table.

    bar: the ratio wanted; of a forward pass the most microseconds a step.
    what: "train", "double backward" or "forward".
    others: the backends that elman is held to as well, and "flashrnn".
    """

    case: Case
    dtype: torch.dtype
    bar: float
    what: str = "train"
    others: tuple[str, ...] = ("triton",)

    @property
    def double(self) -> bool:
        """Whether the gradients are differentiated themselves."""
        return self.what == "double backward"


def _entry(
    name: str, N: int, L: int, H: int, dtype: torch.dtype, bar: float, what: str = "train",
    others: tuple[str, ...] = ("triton",), **more,
) -> Entry:  # fmt: skip
    return Entry(Case(f"{name}, {str(dtype)[6:]}", N, L, H, H, **more), dtype, bar, what, others)


bf16, f32 = torch.bfloat16, torch.float32
LENGTHS = tuple(sorted((1 + 999 * k // 63 for k in range(64)), reverse=True))
STACK = {"num_layers": 2, "bidirectional": True}
TABLE = [
    _entry("wide", 64, 1024, 1024, bf16, 3, others=()),
    _entry("few rows", 16, 1024, 768, bf16, 3, others=()),
    _entry("wide", 32, 512, 512, f32, 2, others=()),
    _entry("packed", 64, 1000, 256, bf16, 3, lengths=LENGTHS),
    _entry("packed", 64, 1000, 256, f32, 3, others=(), lengths=LENGTHS),
    _entry("stack", 32, 512, 256, bf16, 1.5, **STACK),
    _entry("stack", 32, 512, 256, f32, 1.5, others=(), **STACK),
    _entry("one long row", 1, 10_000, 128, f32, 1.5),
    _entry("double backward", 16, 200, 128, f32, 10, "double backward"),
    _entry("forward", 64, 1024, 1024, bf16, 1.5, "forward", ()),
]
GRID = [
    _entry("grid", N, L, H, dtype, 1, others=())
    for L, H, N, dtype in product(
        (16, 256, 2048), (32, 128, 512, 1024), (1, 8, 64, 256), (f32, bf16)
    )
]


def tiny(entry: Entry) -> Entry:
    """The same at a size for the interpreter."""
    case = entry.case
    lengths = (3, 2, 1) if case.lengths else None
    return entry._replace(case=replace(case, N=min(3, case.N), L=3, H_in=5, H=5, lengths=lengths))


# --- what is called --------------------------------------------------------------------------


class Work:
    """A layer of torch's or of elman's, what goes in, and the gradients that arrive."""

    def __init__(
        self, entry: Entry, maker: type[nn.Module], dtype: torch.dtype, device: str, L: int
    ) -> None:
        case, draw = entry.case, torch.Generator().manual_seed(1)
        N, H, D = case.N, case.H, case.directions
        weights = nn.RNN(case.H_in, H, case.num_layers, bidirectional=case.bidirectional)
        for weight in weights.parameters():
            with torch.no_grad():
                weight.copy_((torch.rand(weight.shape, generator=draw) * 2 - 1) / math.sqrt(H))
        rows = (sum(case.lengths),) if case.lengths else (L, N)
        x = torch.randn(*rows, case.H_in, generator=draw)
        bars = [torch.randn(*rows, D * H, generator=draw)]
        bars.append(torch.randn(case.num_layers * D, N, H, generator=draw))
        # all contestants get the same numbers, those that the dtype under test has
        x, *bars = (t.to(entry.dtype).to(device, dtype) for t in (x, *bars))
        self.rnn = maker(case.H_in, H, case.num_layers, bidirectional=case.bidirectional)
        self.rnn.load_state_dict(weights.to(entry.dtype).state_dict())
        self.rnn = self.rnn.to(device, dtype)
        self.x, self.bars, self.what = x.requires_grad_(), bars, entry.what
        self.sizes = None
        if case.lengths:
            live = [sum(n > t for n in case.lengths) for t in range(max(case.lengths))]
            self.sizes = torch.tensor(live)

    def __call__(self) -> dict[str, Tensor]:
        """The output, h_n and every gradient; of a double backward those of all the gradients."""
        names = ["x", *(name for name, _ in self.rnn.named_parameters())]
        leaves = [self.x, *self.rnn.parameters()]
        x = self.x if self.sizes is None else nn.utils.rnn.PackedSequence(self.x, self.sizes)
        if self.what == "forward":
            with torch.no_grad():
                output, h_n = self.rnn(x)
            return {"output": output, "h_n": h_n}
        output, h_n = self.rnn(x)
        results = [output if self.sizes is None else output.data, h_n]
        double = self.what == "double backward"
        found = torch.autograd.grad(results, leaves, self.bars, create_graph=double)
        if double:
            found = torch.autograd.grad([g.square().mean() for g in found], leaves)
        gradients = {f"gradient of {n}": g for n, g in zip(names, found, strict=True)}
        return {"output": results[0].detach(), "h_n": h_n.detach(), **gradients}


def contestants(entry: Entry, device: str, L: int) -> dict[str, Callable[[], dict[str, Tensor]]]:
    """torch.nn.RNN, elman.RNN, and elman.RNN on each of the other backends, or FlashRNN."""
    torchs = Work(entry, nn.RNN, entry.dtype, device, L)

    def torch_itself() -> dict[str, Tensor]:
        with torch.backends.cudnn.flags(enabled=not entry.double, allow_tf32=False):
            return torchs()

    calls = {"torch": torch_itself}
    calls["elman"] = Work(entry, elman.RNN, entry.dtype, device, L)
    for backend in entry.others:
        if backend == "flashrnn":
            calls[backend] = Work(entry, flash_rnn.FlashRNN, entry.dtype, device, L)
            continue
        work = Work(entry, elman.RNN, entry.dtype, device, L)

        def ours(work: Work = work, backend: str = backend) -> dict[str, Tensor]:
            with use_backend(backend):
                return work()

        calls[backend] = ours
    return calls


# --- the gate --------------------------------------------------------------------------------


def hold(entry: Entry, device: str) -> dict[str, float]:
    """Let pass what is right: of each backend its largest error as a share of what it may be.

    Raises:
        RedGateError: a backend is too far off, in words.
    """
    case = entry.case
    L = case.L if case.lengths else min(case.L, MOST)
    calls = contestants(entry, device, L)
    with torch.backends.cudnn.flags(enabled=not entry.double):
        truth = Work(entry, nn.RNN, torch.float64, device, L)()
    torchs, shares = calls.pop("torch")(), dict[str, float]()
    for name, call in calls.items():
        results, again = call(), call()
        for part, ours in results.items():
            true = truth[part]
            if name != "flashrnn" and not torch.equal(ours, again[part]):
                raise RedGateError(f"{case.name}: the {part} of {name} is another the second time")
            error, rival = _distance(ours, true), _distance(torchs[part], true)
            allowed = 2 * rival + _few(entry, L, true, part)
            if not error <= allowed:  # nor where it is NaN
                raise RedGateError(
                    f"{case.name}: the {part} of {name} is {error:.3g} off float64, torch.nn.RNN's "
                    f"{rival:.3g}, at most {allowed:.3g} is allowed; no speed is told"
                )
            shares[name] = max(shares.get(name, 0.0), error / allowed)
    return shares


def _few(entry: Entry, L: int, true: Tensor, part: str) -> float:
    """A few ulps more, since the rival may be right by luck.

    In float32 as in `elman.bench.gate`. In bfloat16 sums are float32 and only results are rounded:
    four a step and layer, of which 1.5 times as many last, and as many on the way back.
    """
    of_gradient = part.startswith("gradient")
    case = replace(entry.case, L=L)
    if entry.dtype == torch.float32:
        few = few_ulps(case, true.cpu().numpy(), of_gradient)
    else:
        rows = sum(case.lengths) if case.lengths else case.N * L
        scale = max(math.sqrt(rows) if of_gradient else 1.0, true.abs().max().item())
        n = 6 * case.num_layers * (1 + of_gradient)
        few = 4 * math.sqrt(n / 12) * torch.finfo(entry.dtype).eps * scale
    return few * (1 + entry.double)


def _distance(x: Tensor, true: Tensor) -> float:
    return (x.double() - true).abs().max().item()


# --- the clock -------------------------------------------------------------------------------


def timed(call: Callable[[], object], repeats: int, device: str) -> float:
    """Milliseconds a call."""
    if device == "cpu":
        began = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - began)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / repeats


def alternate(
    calls: Mapping[str, Callable[[], object]], rounds: int, device: str
) -> dict[str, list[float]]:
    """Every contestant once a round, in the given order and the reverse of it by turns."""
    repeats = {}
    for name, call in calls.items():
        timed(call, 1, device)  # compiles, and lets cuDNN plan
        once = timed(call, 1, device)
        repeats[name] = max(1, min(50, math.ceil(20 / once)))  # samples of twenty milliseconds
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    for _ in range(rounds):
        for name in order:
            samples[name].append(timed(calls[name], repeats[name], device))
        order.reverse()
    return samples


# --- the table -------------------------------------------------------------------------------


def rows_of(
    entry: Entry, samples: Mapping[str, Sequence[float]], shares: Mapping[str, float], at: str
) -> Iterator[dict[str, str]]:
    """What came of one entry, a row for each contestant."""
    torchs = statistics.median(samples["torch"])
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "none: a dry run"
    for name, times in samples.items():
        ours = name != "torch"
        yield {
            "case": entry.case.name,
            "shape": entry.case.shape,
            "dtype": str(entry.dtype)[6:],
            "pass": entry.what,
            "contestant": name,
            "backend": _serves(entry) if name == "elman" else name,
            "median_ms": f"{statistics.median(times):.4g}",
            "iqr_ms": f"{spread(times):.2g}",
            "us_per_step": f"{1e3 * statistics.median(times) / entry.case.L:.3g}",
            "samples": str(len(times)),
            "ratio": f"{torchs / statistics.median(times):.3g}" if ours else "",
            "bar": f"{entry.bar:g}" if ours else "",
            "error": f"{shares[name]:.2g}" if ours else "",
            "card": card,
            "torch": torch.__version__,
            "cuda": torch.version.cuda or "",
            "cudnn": str(torch.backends.cudnn.version() or ""),
            "triton": metadata.version("triton"),
            "elman": elman.__version__,
            "commit": at,
            "date": today(),
        }


def _serves(entry: Entry) -> str:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return select(device, entry.dtype, H=entry.case.H).backend


def reached(row: Mapping[str, str]) -> bool:
    """Whether elman is where it should be."""
    if row["pass"] == "forward":
        return float(row["us_per_step"]) <= float(row["bar"])
    return float(row["ratio"]) >= float(row["bar"])


def line_of(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows of one entry in one line: torch's milliseconds, ours and how many times as fast."""
    torchs, ours, *others = rows
    first = f"  {torchs['case']:<34} {torchs['shape']:<44} {torchs['median_ms']:>7} ms"
    own = f"{ours['median_ms']:>7} {ours['ratio']:>5}x  {ours['bar']:>4} {ours['backend']}"
    if ours["pass"] == "forward":
        own += f", {ours['us_per_step']} us a step"
    beside = "".join(f"; {r['contestant']} {r['median_ms']} {r['ratio']}x" for r in others)
    return f"{first} {own}{beside}{'' if reached(ours) else '   BELOW'}"


def measured(
    entries: Sequence[Entry], minutes: float, rounds: int, device: str
) -> tuple[list[dict[str, str]], int]:
    """The rows of all entries that time allows, each printed when done, and how many are red."""
    print(HEAD)
    began, at, red, every = time.monotonic(), commit(), 0, list[dict[str, str]]()
    for done, entry in enumerate(entries):
        if time.monotonic() - began > 60 * minutes:
            print(f"  after {minutes:g} minutes {len(entries) - done} are left out: --minutes")
            break
        try:
            shares = hold(entry, device)
        except RedGateError as error:
            red += 1
            print(f"  RED {error}", flush=True)
            continue
        samples = alternate(contestants(entry, device, entry.case.L), rounds, device)
        rows = list(rows_of(entry, samples, shares, at))
        print(line_of(rows), flush=True)
        every += rows
    return every, red


def main() -> None:
    """Hold, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="cases that begin so")
    parser.add_argument("--minutes", type=float, default=7.0, help="no further case after (7)")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each (5)")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {RESULTS.name}")
    parser.add_argument("--flashrnn", action="store_true", help="FlashRNN too, if installed")
    parser.add_argument("--dry", action="store_true", help="tiny, on the CPU, interpreted")
    asked = parser.parse_args()
    entries = [*TABLE, *GRID]
    if util.find_spec("triton") is None:
        sys.exit(_says("this wants Triton, also in a dry run: pip install 'elman[triton]'"))
    if asked.flashrnn and flash_rnn.problem() is not None:
        sys.exit(_says(f"--flashrnn: {flash_rnn.problem()}"))
    if asked.flashrnn:
        others = (*TABLE[0].others, "flashrnn")
        entries[:2] = [entry._replace(others=others) for entry in entries[:2]]
    if asked.dry:
        os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are imported
        entries = [*map(tiny, entries[: len(TABLE) + 2])]
    elif not torch.cuda.is_available():
        sys.exit(_says("this measures on an NVIDIA GPU, and torch finds none; --dry needs none"))
    for name in asked.only or ():
        if not any(entry.case.name.startswith(name) for entry in entries):
            parser.error(f"--only {name}: no case begins so")
    if asked.only:
        entries = [e for e in entries if e.case.name.startswith(tuple(asked.only))]
    rounds = 1 if asked.dry else asked.rounds
    rows, red = measured(entries, asked.minutes, rounds, "cpu" if asked.dry else "cuda")
    if asked.write and not asked.dry:
        write_rows(RESULTS, rows, list(rows[0]))
        PICTURE.write_text(picture(rows), "utf-8")
    best = [row for row in rows if row["contestant"] == "elman"]
    below = sum(not reached(row) for row in best)
    if rows:
        print(f"\n  {rows[0]['card']}, torch {rows[0]['torch']}, triton {rows[0]['triton']}")
    if asked.dry:
        print(f"  a dry run: {len(best)} passed the gate, {red} are red, no time says anything")
        below = 0
    else:
        print(f"  {below} of {len(best)} are below their bar, {red} are red")
    sys.exit(2 if red else bool(below))


def _says(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
