"""A picture of benchmarks/results/long_memory.csv: the test loss on its way, for both tasks."""

import math
from collections.abc import Sequence
from html import escape

Row = dict[str, str]

_PANEL, _HEIGHT, _LEFT, _TOP, _GAP = 360, 300, 58, 62, 76
_INK, _FAINT = "#767e88", "#767e8855"
#: On white and on near black; every line is named in words below.
_COLOURS = {"preset": "#2d9d56", "without": "#c2701c", "torch": "#3b7dd8"}
_NAMES = {
    "preset": "elman.nn.long_memory",
    "without": "the same layer with torch's first weights",
    "torch": "torch's default layer, tanh",
}
_TITLES = {
    "adding": "Adding, T = 600: mean squared error",
    "copy": "Copy, T = 100: cross-entropy",
}
_LOW, _HIGH, _BAR = 1e-4, 1.0, 1e-2


def chart(rows: Sequence[Row]) -> str:
    """An SVG file of the rows' test losses, each seed a line, on a logarithmic scale.

    Args:
        rows: of task "adding" or "copy", with layer, seed, step and test_loss.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("rows should hold at least one, got none")
    panels = []
    for k, task in enumerate(_TITLES):
        of_task = [row for row in rows if row["task"] == task]
        panels.append(_panel(of_task, task, _LEFT + k * (_PANEL + _GAP)))
    return _page("".join(panels), _told(rows))


def _y(loss: float) -> float:
    """In pixels from the top; what is off the scale, or no number, lies at its edge."""
    shown = min(max(loss, _LOW), _HIGH) if math.isfinite(loss) else _HIGH
    return _TOP + _HEIGHT * math.log(_HIGH / shown) / math.log(_HIGH / _LOW)


def _panel(rows: Sequence[Row], task: str, left: float) -> str:
    last = max((int(row["step"]) for row in rows), default=1)
    parts = [_text(left, _TOP - 16, _TITLES[task], "head")]
    for power in range(round(math.log10(_LOW)), round(math.log10(_HIGH)) + 1):
        y = _y(10.0**power)
        kind = "bar" if 10.0**power == _BAR else "line"
        parts.append(f'<path d="M{left} {y:.1f}h{_PANEL}" class="{kind}"/>')
        parts.append(_text(left - 8, y + 4, f"{10.0**power:g}", "end"))
    for share in (0, 0.5, 1):
        x = left + share * _PANEL
        parts.append(_text(x, _TOP + _HEIGHT + 20, f"{round(share * last)}", "middle"))
    for layer in reversed(_NAMES):  # the preset above the others
        seeds = {row["seed"] for row in rows if row["layer"] == layer}
        for seed in sorted(seeds):
            curve = [r for r in rows if r["layer"] == layer and r["seed"] == seed]
            points = " ".join(
                f"{left + _PANEL * int(r['step']) / last:.1f},{_y(float(r['test_loss'])):.1f}"
                for r in curve
            )
            parts.append(f'<polyline points="{points}" stroke="{_COLOURS[layer]}" class="curve"/>')
    return "".join(parts)


def _told(rows: Sequence[Row]) -> str:
    """The ends of all curves, for those who do not see."""
    last: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        last[row["task"], row["layer"], row["seed"]] = row
    return "; ".join(
        f"{task}, {_NAMES[layer]}, seed {seed}: {row['test_loss']} after {row['step']} steps"
        for (task, layer, seed), row in last.items()
    )


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'


def _page(body: str, told: str) -> str:
    width, foot = _LEFT + 2 * _PANEL + _GAP + 20, _TOP + _HEIGHT + 52
    legend, x = [], float(_LEFT)
    for layer, name in _NAMES.items():
        legend.append(f'<path d="M{x} {foot - 4}h22" stroke="{_COLOURS[layer]}" class="curve"/>')
        legend.append(_text(x + 30, foot, name, ""))
        x += 56 + 6.4 * len(name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {foot + 34}" '
        f'width="{width}" height="{foot + 34}" role="img" aria-labelledby="title desc">'
        '<title id="title">Long memory: loss on rows never seen, by training step</title>'
        f'<desc id="desc">{escape(told)}.</desc><style>'
        f"text{{font:12px system-ui,'Segoe UI','DejaVu Sans',sans-serif;fill:{_INK}}}"
        ".head{font-size:14px;font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}"
        f".line{{stroke:{_FAINT}}}.bar{{stroke:{_INK};stroke-width:1.5;stroke-dasharray:5 4}}"
        ".curve{fill:none;stroke-width:1.8;stroke-linejoin:round}</style>"
        + _text(_LEFT, 22, "Loss on rows never seen, by training step; a line for each seed", "")
        + body
        + "".join(legend)
        + _text(_LEFT, foot + 24, f"dashed: the bar of {_BAR}; logarithmic scale", "")
        + "</svg>\n"
    )
