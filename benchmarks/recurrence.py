"""What the parts of a step cost over the plain layer, and a million steps in one piece.

    python benchmarks/recurrence.py [--only NAME] [--threads N] [--write]
    python benchmarks/recurrence.py --long

At N 32, L 128, H_in 128, H 128, in float32: `elman.RNN` with a part beside the plain one, forward
in eval() without gradients and a training step to all weights, turn by turn in one process,
medians, after a gate: output, h_n and every gradient are held against the loop of
`elman.ops.reference` in float64. An error may be twice that of the plain layer against the same
loop, and a few ulps (`elman.bench.gate`). Exits with 1 where a part costs more than 15 %, with 2 on
a red gate. `--write` keeps the table in benchmarks/results/recurrence.csv.

`--long` trains one step over 1,000,000 steps (N 1, H_in 1, H 64) with `checkpoint_every`, with a
loss on the last state and with one on every output, each in a process of its own. It exits with 1
where the first takes more than 1 GB beyond what was there before, or more than 1.6 times as long a
step as the same of a plain layer over 10,000. Linux only.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

import elman
from elman.bench import Case, Effort
from elman.bench.gate import RedGateError, few_ulps
from elman.bench.report import commit, today, write_rows
from elman.bench.timing import alternate, spread
from elman.nn.masks import kept, scaled_mask
from elman.ops import reference

N, L, H_IN, H = 32, 128, 128, 128
CASE = Case("recurrence", N, L, H_IN, H)
BAR, MEMORY_BAR, LONG_BAR = 1.15, 1000.0, 1.6
LEAK, P = 0.3, 0.1
LONG, ORDINARY, EVERY = 1_000_000, 10_000, 10_000
RESULTS = Path(__file__).resolve().parent / "results" / "recurrence.csv"


class Part(NamedTuple):
    """A layer, what it is called with, and the gates of the same in the shape of a sequence."""

    rnn: elman.RNN
    call: dict[str, Tensor]
    gates: Callable[[elman.RNN], dict[str, Tensor]]


def parts() -> dict[str, Part]:
    """All that are measured, the plain layer first, with the same weights."""
    draw = torch.Generator().manual_seed(1)
    mask = torch.rand(L, N, generator=draw) >= 0.1
    reset = torch.rand(L, N, generator=draw) < 1 / 32
    full = torch.full((N,), L)
    some = torch.randint(1, L + 1, (N,), generator=draw)

    def dynamics(**arguments: Any) -> elman.RNN:
        return elman.RNN(H_IN, H, dynamics=elman.Dynamics(**arguments))

    def flag(t: Tensor) -> Tensor:
        return t.double()[..., None].expand(L, N, H)

    def leaky(rnn: elman.RNN) -> dict[str, Tensor]:
        logit = getattr(rnn, "leak_logit_l0", None)
        alpha = torch.tensor(LEAK, dtype=torch.float64) if logit is None else logit.sigmoid()
        return {"g": alpha.expand(L, N, H), "e": (1 - alpha).expand(L, N, H)}

    def zoned(rnn: elman.RNN) -> dict[str, Tensor]:
        g = kept((L, N, H), P, rnn.weight_hh_l0.device) if rnn.training else torch.tensor(1 - P)
        g = g.double().expand(L, N, H)
        return {"g": g, "e": 1 - g}

    def hidden(rnn: elman.RNN) -> dict[str, Tensor]:
        if not rnn.training:
            return {}
        return {"q": scaled_mask((1, N, H), P, rnn.weight_hh_l0).expand(L, N, H)}

    steps = torch.arange(L)[:, None]
    found = {
        "plain": Part(elman.RNN(H_IN, H), {}, lambda rnn: {}),
        "leak": Part(dynamics(leak=LEAK), {}, leaky),
        "learned leak": Part(dynamics(leak=LEAK, learn_leak=True), {}, leaky),
        "zoneout": Part(dynamics(zoneout=P), {}, zoned),
        "recurrent dropout": Part(dynamics(recurrent_dropout=P), {}, hidden),
        "lengths, full": Part(elman.RNN(H_IN, H), {"lengths": full}, lambda rnn: {}),
        "lengths, random": Part(
            elman.RNN(H_IN, H), {"lengths": some},
            lambda rnn: {"g": flag(steps < some), "e": flag(steps >= some)},
        ),
        "mask": Part(
            elman.RNN(H_IN, H), {"mask": mask}, lambda rnn: {"g": flag(mask), "e": flag(~mask)}
        ),
        "reset": Part(elman.RNN(H_IN, H), {"reset": reset}, lambda rnn: {"q": flag(~reset)}),
    }  # fmt: skip
    for part in found.values():
        part.rnn.load_state_dict(found["plain"].rnn.state_dict(), strict=False)
    return found


# --- the gate ------------------------------------------------------------------------------


def answers(part: Part, x: Tensor) -> dict[str, Tensor]:
    """Output, h_n and gradients of the layer itself, and its output in eval()."""
    rnn = part.rnn.train()
    torch.manual_seed(2)
    output, h_n = rnn(x, **part.call)
    found = {"output": output, "h_n": h_n, **gradients(rnn, output, h_n)}
    with torch.no_grad():
        return {**found, "output in eval()": rnn.eval()(x, **part.call)[0]}


def truth(part: Part, x: Tensor) -> dict[str, Tensor]:
    """The same by the reference loop in float64."""
    rnn = elman.RNN(H_IN, H, dynamics=part.rnn.dynamics, dtype=torch.float64)
    rnn.load_state_dict(part.rnn.state_dict())
    torch.manual_seed(2)
    output, h_n = by_loop(part, rnn.train(), x)
    found = {"output": output, "h_n": h_n, **gradients(rnn, output, h_n)}
    with torch.no_grad():
        return {**found, "output in eval()": by_loop(part, rnn.eval(), x)[0]}


def by_loop(part: Part, rnn: elman.RNN, x: Tensor) -> tuple[Tensor, Tensor]:
    """Output and h_n."""
    a = functional.linear(x.double(), rnn.weight_ih_l0, rnn.bias_ih_l0 + rnn.bias_hh_l0)
    gates = part.gates(rnn)
    h, _ = reference.gated_scan(a, rnn.weight_hh_l0, a.new_zeros(N, H), "tanh", **gates)
    if "lengths" in part.call:  # what lies beyond a row's end is zero
        h_n, there = h[-1:], torch.arange(L)[:, None] < part.call["lengths"]
        return h * there[..., None], h_n
    return h, h[-1:]


def gradients(rnn: elman.RNN, output: Tensor, h_n: Tensor) -> dict[str, Tensor]:
    """Those of every parameter."""
    names, parameters = zip(*rnn.named_parameters(), strict=True)
    found = torch.autograd.grad(output.sum() + h_n.sum(), parameters)
    return {f"gradient of {name}": g for name, g in zip(names, found, strict=True)}


def hold(all_parts: Mapping[str, Part], x: Tensor) -> None:
    """Let pass what is right.

    Raises:
        RedGateError: a part is further off than it may be.
    """
    plain: dict[str, float] = {}
    for name, part in all_parts.items():
        true = truth(part, x)
        for what, got in answers(part, x).items():
            want = true[what]
            error = float((got.detach().double() - want.detach()).abs().max())
            few = few_ulps(CASE, want.detach().numpy(), "gradient" in what)
            plain.setdefault(what, error)
            if not error <= 2 * plain[what] + few:
                raise RedGateError(
                    f"{name}: {what} is off by {error:.3g}; {2 * plain[what] + few:.3g} would pass"
                )


# --- the clock -----------------------------------------------------------------------------


def measured(all_parts: Mapping[str, Part], x: Tensor, effort: Effort) -> list[dict[str, Any]]:
    """A row for each part and pass, each printed."""
    rows = []
    for kind, call in (("forward", forward), ("training", training)):
        for part in all_parts.values():
            part.rnn.train(kind == "training")
        samples = alternate({n: call(p, x) for n, p in all_parts.items()}, effort)
        plain = statistics.median(samples["plain"])
        for name, times in samples.items():
            ratio = statistics.median(times) / plain
            judged = "" if name == "plain" else "above" if ratio > BAR else "within"
            row = {
                "part": name, "pass": kind, "median_ms": f"{1e3 * statistics.median(times):.3f}",
                "iqr_ms": f"{1e3 * spread(times):.3f}", "samples": len(times),
                "over_plain": f"{ratio:.3f}", "bar": BAR, "judged": judged,
            }  # fmt: skip
            rows.append(row)
            print(
                f"{name:<18}{kind:<10}{row['median_ms']:>9} ± {row['iqr_ms']:>6} ms"
                f"{ratio:>7.2f}  {judged}".rstrip(),
                flush=True,
            )
    return rows


def forward(part: Part, x: Tensor) -> Callable[[], object]:
    """A call without gradients."""

    def call() -> object:
        with torch.no_grad():
            return part.rnn(x, **part.call)

    return call


def training(part: Part, x: Tensor) -> Callable[[], object]:
    """A call and the gradients of all weights."""
    parameters, bar = list(part.rnn.parameters()), torch.ones(L, N, H)

    def call() -> object:
        return torch.autograd.grad(part.rnn(x, **part.call)[0], parameters, bar)

    return call


# --- a million steps -----------------------------------------------------------------------


def long(states: str) -> bool:
    """Print what a million steps take with a loss on "last" or "output"; whether that is little."""
    torch.manual_seed(0)
    layer = elman.RNN(1, 64, checkpoint_every=EVERY)
    plain = elman.RNN(1, 64)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(LONG, 1, 1)
    short = x[:ORDINARY]
    for ours, theirs in zip(step(layer, short, states), step(plain, short, states), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))
    samples = alternate({"plain": lambda: step(plain, short, states)}, Effort(7, 2.0))["plain"]
    ordinary = statistics.median(samples) / ORDINARY
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak is now what there is
    before, began = status("VmRSS"), time.perf_counter()
    found = step(layer, x, states)
    took = (time.perf_counter() - began) / LONG
    added = (status("VmHWM") - before) * 1024 / 1e6
    if not all(bool(g.isfinite().all()) for g in found):
        raise RedGateError("a gradient over a million steps is not finite")
    ratio = took / ordinary
    print(
        f"{'h_n' if states == 'last' else 'every output':<14}{added:>11.0f} MB"
        f"{1e6 * took:>11.2f} µs"
        f"{1e6 * ordinary:>16.2f} µs{ratio:>8.2f}",
        flush=True,
    )
    return added <= MEMORY_BAR and ratio <= LONG_BAR


def step(rnn: elman.RNN, x: Tensor, states: str) -> tuple[Tensor, ...]:
    """The gradients of the mean square of what is asked for."""
    output, h_n = rnn(x, states=states)
    rnn.zero_grad()
    (h_n if output is None else output).square().mean().backward()
    return tuple(p.grad.clone() for p in rnn.parameters())


def status(name: str) -> int:
    """A line of /proc/self/status, in KiB."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise KeyError(name)


def both_long(threads: int) -> int:
    """The table of a million steps; the exit status of the judged one."""
    print(f"{LONG:,} steps, N 1, H 64, checkpoint_every={EVERY}, {threads} threads\n", flush=True)
    print(
        f"{'loss on':<14}{'added peak':>14}{'a step':>14}{f'plain, {ORDINARY:,}':>19}{'ratio':>8}",
        flush=True,
    )
    command = [sys.executable, __file__, "--threads", str(threads), "--long-here"]
    last, _ = (subprocess.run([*command, of], check=False).returncode for of in ("last", "output"))
    print(f"\nThe first is judged: at most {MEMORY_BAR:.0f} MB, a ratio of at most {LONG_BAR}")
    return last


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="this part; repeatable")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15, help="samples at least (15)")
    parser.add_argument("--seconds", type=float, default=5.0, help="a pass at least (5)")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {RESULTS.name}")
    parser.add_argument("--long", action="store_true", help="a million steps instead")
    parser.add_argument("--long-here", choices=["last", "output"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.long_here:
        sys.exit(not long(asked.long_here))
    if asked.long:
        sys.exit(both_long(asked.threads))
    torch.manual_seed(0)
    all_parts, x = parts(), torch.randn(L, N, H_IN)
    if unknown := [name for name in asked.only or () if name not in all_parts]:
        parser.error(f"--only {unknown[0]}: no such part; there are {', '.join(all_parts)}")
    if asked.only and asked.write:
        parser.error("--write keeps the whole table; leave out --only")
    if asked.only:
        all_parts = {n: p for n, p in all_parts.items() if n == "plain" or n in asked.only}
    try:
        hold(all_parts, x)
    except RedGateError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"torch {torch.__version__}, elman {elman.__version__}, {asked.threads} threads, "
          f"N {N}, L {L}, H_in {H_IN}, H {H}\n")  # fmt: skip
    print(f"{'part':<18}{'pass':<10}{'median':>9}   {'iqr':>6}{'over plain':>13}")
    rows = measured(all_parts, x, Effort(asked.rounds, asked.seconds))
    above = [row for row in rows if row["judged"] == "above"]
    print(f"\n{len(above)} of {sum(bool(row['judged']) for row in rows)} cost more than 15 %")
    if asked.write:
        write(rows, asked.threads)
    sys.exit(bool(above))


def write(rows: list[dict[str, Any]], threads: int) -> None:
    """The table, with what it was measured with."""
    facts = {
        "threads": threads, "elman": elman.__version__, "torch": torch.__version__,
        "commit": commit(), "date": today(),
    }  # fmt: skip
    write_rows(RESULTS, [{**row, **facts} for row in rows], [*rows[0], *facts])


if __name__ == "__main__":
    main()
