"""Draw docs/recurrence/*.svg: what the parts of a step do, from runs of elman itself.

    python docs/make_recurrence.py

Lines differ in their dashes and are named beside their ends, so that no colour is needed.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from elman import RNN, Dynamics
from elman.models import Reservoir
from elman.ops.activations import NONLINEARITIES, activate

HERE = Path(__file__).resolve().parent / "recurrence"
COLOURS = ("#1f4e9c", "#b4500f", "#2d7d46", "#7a3b8f")
DASHES = ("", "7 4", "2 3", "10 3 2 3")


class Line(NamedTuple):
    """Values at steps 0, 1, … or at `at`, and what they are called."""

    name: str
    y: Sequence[float]
    at: Sequence[float] | None = None


class Panel(NamedTuple):
    """A plot of lines over one axis, `width` by `height` in all."""

    x: int
    y: int
    width: int
    height: int
    title: str
    lines: list[Line]
    low: float
    high: float
    bands: Sequence[tuple[float, float, str]] = ()  # from, to, what is there
    unit: str = "step"


def main() -> None:
    """Write the pictures."""
    HERE.mkdir(exist_ok=True)
    for draw in (time, leak, masks, nonlinearities, reservoir):
        torch.manual_seed(0)
        path = HERE / f"{draw.__name__}.svg"
        path.write_text(draw(), "utf-8")
        print(f"wrote docs/recurrence/{path.name}")


def time() -> str:
    """The state of one unit: as it is, over a gap, and begun anew."""
    L, gap, new = 40, (12, 22), 28
    rnn = RNN(1, 8)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(torch.linalg.qr(torch.randn(8, 8)).Q)
        x = torch.sin(torch.arange(L) / 3)[:, None, None].expand(L, 3, 1)
        mask, reset = torch.ones(L, 3, dtype=torch.bool), torch.zeros(L, 3, dtype=torch.bool)
        mask[gap[0] : gap[1], 1] = False
        reset[new, 2] = True
        plain, held, anew = rnn(x, mask=mask, reset=reset)[0][..., 0].T.tolist()
    shared = Line("plain", plain)
    panels = [
        Panel(0, 40, 720, 190, "mask: held in the gap", [shared, Line("masked", held)], -1, 1,
              [(gap[0], gap[1] - 1, "gap")]),
        Panel(0, 240, 720, 190, "reset: zero before the step", [shared, Line("reset", anew)], -1, 1,
              [(new, new, "reset")]),
    ]  # fmt: skip
    return page(720, 440, "One unit of elman.RNN(1, 8), the same input to three rows", panels)


def leak() -> str:
    """The answer to a pulse."""
    L, lines = 80, []
    x = torch.zeros(L, 1, 1)
    x[10:20] = 1
    for alpha in (1.0, 0.3, 0.1, 0.03):
        rnn = RNN(1, 1, nonlinearity="identity", bias=False, dynamics=Dynamics(leak=alpha))
        with torch.no_grad():
            rnn.weight_ih_l0.fill_(1)
            rnn.weight_hh_l0.zero_()
            lines.append(Line(f"α = {alpha:g}", rnn(x)[0][:, 0, 0].tolist()))
    panel = Panel(0, 40, 720, 300, "h_t", lines, 0, 1, [(10, 19, "x = 1")])
    return page(720, 350, "A linear unit with a leak and no weight of its own", [panel])


def masks() -> str:
    """Which units keep their old state, and which are hidden, at every step."""
    L, H, p = 30, 24, 0.3
    zoned = RNN(4, H, dynamics=Dynamics(zoneout=p))
    x = torch.randn(L + 1, 1, 4)
    with torch.no_grad():
        h = zoned(x)[0][:, 0]
        kept = h[1:] == h[:-1]  # exactly, where a unit was left as it was
        # f(z) = z, W = I, x = 0: a state is multiplied by q once a step, and is zero where q is
        hidden = RNN(1, H, nonlinearity="identity", bias=False,
                     dynamics=Dynamics(recurrent_dropout=p))  # fmt: skip
        hidden.weight_hh_l0.copy_(torch.eye(H))
        q = hidden(torch.zeros(L, 1, 1), torch.ones(1, 1, H))[0][:, 0] == 0
    share = f"{kept.float().mean():.2f}"
    hid = f"{q.float().mean():.2f}"
    body = [
        grid(40, 66, kept, f"zoneout={p}: keeps its old state ({share})"),
        grid(400, 66, q, f"recurrent_dropout={p}: is not heard ({hid})"),
    ]
    title = f"{H} units (down) at {L} steps (across), in training: dark squares are dropped"
    return frame(760, 350, title, "".join(body))


def nonlinearities() -> str:
    """Each of them in a small panel."""
    z = torch.linspace(-4, 4, 81)
    panels = []
    for k, name in enumerate(NONLINEARITIES):
        column, row = k % 4, k // 4
        low, high = -5.0, 5.0
        line = Line("", activate(z, name).tolist(), z.tolist())
        panels.append(
            Panel(column * 185, 40 + row * 160, 185, 160, name, [line], low, high, (), "z")
        )
    return page(745, 530, "f(z) for z from -4 to 4, every axis from -5 to 5", panels)


def mackey_glass(L: int, tau: int = 17, substeps: int = 10) -> Tensor:
    """The chaotic series of Mackey and Glass (1977), a value for each unit of time, (L, 1)."""
    past = [1.2] * (tau * substeps + 1)
    for _ in range((L + 100) * substeps):
        delayed = past[-tau * substeps - 1]
        past.append(past[-1] + (0.2 * delayed / (1 + delayed**10) - 0.1 * past[-1]) / substeps)
    return torch.tensor(past[-L * substeps :: substeps], dtype=torch.float64)[:, None]


def reservoir() -> str:
    """The series, and what a reservoir writes alone."""
    x, fitted, free = mackey_glass(2301), 2000, 300
    model = Reservoir(1, spectral_radius=1.1, dtype=torch.float64)
    model.fit(x[:fitted], x[1 : fitted + 1])
    y = model.generate(free, x[fitted : fitted + 1])
    true = x[fitted + 1 :]
    lines = [Line("true", true[:, 0].tolist()), Line("free", y[:, 0].tolist())]
    error = float((y - true)[:84].square().mean().sqrt() / x.std())
    title = (
        "Mackey-Glass, τ = 17: fitted to 2000 steps, then 300 alone; "
        f"error over the first 84: {error:.3f} σ"
    )
    return page(720, 300, title, [Panel(0, 40, 720, 250, "x_t", lines, 0.2, 1.4)])


def grid(x: int, y: int, dark: Tensor, title: str) -> str:
    """A square for each step and unit, (L, H)."""
    cell = 11
    parts = [f'<text x="{x}" y="{y - 10}" class="title">{escape(title)}</text>']
    for t, row in enumerate(dark.tolist()):
        for i, one in enumerate(row):
            parts.append(
                f'<rect x="{x + t * cell}" y="{y + i * cell}" width="{cell - 1}" '
                f'height="{cell - 1}" fill="{"#1f2430" if one else "#e4e8ef"}"/>'
            )
    return "".join(parts)


def plot(panel: Panel) -> str:
    """One panel."""
    named = any(line.name for line in panel.lines)
    left, top = panel.x + 38, panel.y + 24
    right, bottom = panel.x + panel.width - (84 if named else 12), panel.y + panel.height - 26
    ends = [line.at or range(len(line.y)) for line in panel.lines]
    first, last = ends[0][0], ends[0][-1]

    def across(t: float) -> float:
        return left + (right - left) * (t - first) / (last - first)

    def up(v: float) -> float:
        return bottom - (bottom - top) * (v - panel.low) / (panel.high - panel.low)

    parts = [f'<text x="{left}" y="{top - 8}" class="title">{escape(panel.title)}</text>']
    for begin, end, name in panel.bands:
        a, b = across(begin - 0.5), across(end + 0.5)
        parts.append(
            f'<rect x="{a:.1f}" y="{top}" width="{b - a:.1f}" height="{bottom - top}" '
            f'class="band"/>'
            f'<text x="{a + 4:.1f}" y="{top + 13}" class="note">{name}</text>'
        )
    for v in sorted({panel.low, 0.0 if panel.low < 0 else panel.low, panel.high}):
        parts.append(
            f'<path d="M{left} {up(v):.1f}H{right}" class="rule"/>'
            f'<text x="{left - 6}" y="{up(v) + 4:.1f}" class="tick">{v:g}</text>'
        )
    parts += [
        f'<text x="{left}" y="{bottom + 16}" class="note">{first:g}</text>'
        f'<text x="{right}" y="{bottom + 16}" class="tick">{last:g}</text>'
        f'<text x="{(left + right) / 2}" y="{bottom + 16}" class="middle">{panel.unit}</text>'
    ]
    used: list[float] = []
    for k, (line, at) in enumerate(zip(panel.lines, ends, strict=True)):
        points = " ".join(f"{across(t):.1f},{up(v):.1f}" for t, v in zip(at, line.y, strict=True))
        y = up(line.y[-1])
        while any(abs(y - other) < 15 for other in used):
            y -= 15
        used.append(y)
        parts.append(
            f'<polyline points="{points}" stroke="{COLOURS[k]}" stroke-dasharray="{DASHES[k]}" '
            f'class="line"/><text x="{right + 6}" y="{y + 4:.1f}" class="note" '
            f'style="fill:{COLOURS[k]}">{escape(line.name)}</text>'
        )
    return "".join(parts)


def page(width: int, height: int, title: str, panels: Sequence[Panel]) -> str:
    """Panels under a title."""
    return frame(width, height, title, "".join(map(plot, panels)))


def frame(width: int, height: int, title: str, body: str) -> str:
    """The whole file."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" role="img" aria-label="{escape(title)}"><style>'
        "text{font-family:system-ui,sans-serif;fill:#1f2430}.title{font-size:13px;font-weight:600}"
        ".head{font-size:14px}.note{font-size:12px}.tick{font-size:12px;text-anchor:end}"
        ".middle{font-size:12px;text-anchor:middle}.rule{stroke:#d5dae3}.band{fill:#f0e9d8}"
        ".line{fill:none;stroke-width:2;stroke-linejoin:round}</style>"
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>'
        f'<text x="14" y="24" class="head">{escape(title)}</text>{body}</svg>\n'
    )


if __name__ == "__main__":
    main()
