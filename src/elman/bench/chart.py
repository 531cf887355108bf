"""A picture of the CSV: how many times as fast elman is, in bars on a logarithmic scale."""

import math
from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

from elman.bench.report import Row, versions

_WIDTH, _LEFT, _RIGHT = 860, 268, 70
_BAR, _GROUP, _TOP, _FOOT = 15, 12, 74, 62
_RIVALS = {"torch": "torch.nn.RNN", "jax": "jax.jit(lax.scan)", "onnxruntime": "ONNX Runtime"}
_PASSES = {"forward": "forward", "train": "training", "double backward": "double backward"}
#: For white and for near black; every bar is named in words beside it.
_FILLS = {"torch": "#3b7dd8", "jax": "#c2701c", "onnxruntime": "#8a63c9"}
_STRENGTH = {"forward": 0.65, "train": 1, "double backward": 1}
_INK, _FAINT = "#767e88", "#767e8855"


class Words(NamedTuple):
    """What a chart says besides its ratios.

    where: the end of its title.
    corner: what is measured, at the upper right.
    heading: of a case, from one of its rows.
    notes: the two lines below, from all rows.
    """

    where: str
    corner: str
    heading: Callable[[Row], str]
    notes: Callable[[Sequence[Row]], tuple[str, str]]


def chart(rows: Sequence[Row], words: Words | None = None) -> str:
    """An SVG file of the ratios in `rows`, in their order.

    Args:
        rows: of `elman.bench.report.COLUMNS`; those without a ratio are passed over.
        words: Default: those of a run of `elman bench`, on a CPU.

    Raises:
        ValueError: there is no ratio at all.
    """
    words = words or Words("on a CPU", "float32 on a CPU", _heading, _notes)
    measured = [row for row in rows if row["ratio"]]
    if not measured:
        raise ValueError("rows should hold at least one ratio, got none")
    scale = _Scale([float(row["ratio"]) for row in measured])
    body, y = [], float(_TOP)
    for _, group in groupby(measured, key=lambda row: row["case"]):
        of_case = list(group)
        body.append(_text(8, y + 11, words.heading(of_case[0]), "head"))
        y += 18
        body.append(_lines(scale, y, y + _BAR * len(of_case)))
        for row in of_case:
            body.append(_bar(row, y, scale))
            y += _BAR
        y += _GROUP
    return _page(measured, words, "".join([_axis(scale), *body]), round(y) + _FOOT)


class _Scale:
    """From a ratio to where it stands."""

    def __init__(self, ratios: Sequence[float]) -> None:
        self.low = min(0.8, 0.9 * min(ratios))
        self.high = max(2.0, 1.1 * max(ratios))

    def __call__(self, ratio: float) -> float:
        """In pixels from the left."""
        share = math.log(ratio / self.low) / math.log(self.high / self.low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> list[float]:
        """1, 2, 5, 10, ... and their inverses, as far as they lie within."""
        wide = math.log10(self.high / self.low) > 3.2
        steps = (1.0,) if wide else (1.0, 2.0, 5.0)
        every = [m * 10.0**power for power in range(-3, 5) for m in steps]
        return [tick for tick in every if self.low <= tick <= self.high]


def _heading(row: Row) -> str:
    plural = "s" * (row["threads"] != "1")
    return f"{row['shape']}; {row['threads']} thread{plural}"


def _notes(rows: Sequence[Row]) -> tuple[str, str]:
    first, rest = versions(_fullest(rows)).split(", python ", 1)
    return first, f"python {rest}; medians of one run, by turns"


def _rival(row: Row) -> str:
    name = _RIVALS[row["contestant"]]
    return f"{name}Cell" if "one step" in row["shape"] and row["contestant"] == "torch" else name


def _bar(row: Row, y: float, scale: _Scale) -> str:
    ratio = float(row["ratio"])
    one, end = scale(1.0), scale(ratio)
    label = f"{_PASSES[row['pass']]}, against {_rival(row)}"
    left, width = min(one, end), max(abs(end - one), 1.0)
    return (
        _text(_LEFT - 10, y + 11, label, "end")
        + f'<rect x="{left:.1f}" y="{y + 2:.1f}" width="{width:.1f}" height="{_BAR - 3}" '
        f'fill="{_FILLS[row["contestant"]]}" fill-opacity="{_STRENGTH[row["pass"]]}"/>'
        + _text(max(one, end) + 5, y + 12, f"{_times(ratio)}×", "value")
    )


def _times(ratio: float) -> str:
    """Three figures, never as a power of ten.

    >>> _times(0.314), _times(5.5), _times(141.6), _times(1234)
    ('0.31', '5.5', '142', '1234')
    """
    if ratio >= 100:
        return f"{ratio:.0f}"
    return f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"


def _axis(scale: _Scale) -> str:
    return "".join(_text(scale(tick), _TOP - 14, f"{tick:g}×", "tick") for tick in scale.ticks())


def _lines(scale: _Scale, top: float, bottom: float) -> str:
    return "".join(
        f'<path d="M{scale(tick):.1f} {top:.1f}V{bottom:.1f}" '
        f'class="{"one" if tick == 1 else "line"}"/>'
        for tick in scale.ticks()
    )


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'


def _page(rows: Sequence[Row], words: Words, body: str, height: int) -> str:
    told = "; ".join(
        f"{words.heading(row)}: {_PASSES[row['pass']]} {_times(float(row['ratio']))} times as "
        f"fast as {_rival(row)}"
        for row in rows
    )
    first, second = words.notes(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-labelledby="title desc">'
        f'<title id="title">How many times as fast elman is {escape(words.where)}</title>'
        f'<desc id="desc">{escape(told)}.</desc><style>'
        "text{font:12px system-ui,'Segoe UI','DejaVu Sans',sans-serif;"
        f"fill:{_INK}}}.name{{font-size:17px;font-weight:600}}.head{{font-weight:600}}"
        ".end{text-anchor:end}.tick{text-anchor:middle}.value{font-weight:600}"
        f".line{{stroke:{_FAINT}}}.one{{stroke:{_INK};stroke-width:1.5}}</style>"
        + _text(8, 24, "How many times as fast elman is", "name")
        + _text(_WIDTH - 8, 24, f"{words.corner}; right of 1× elman is faster", "end")
        + body
        + _text(8, height - 28, first, "note")
        + _text(8, height - 10, second, "note")
        + "</svg>\n"
    )


def _fullest(rows: Sequence[Row]) -> Row:
    """Of all rows the one that names most versions."""
    return max(rows, key=lambda row: sum(bool(row[name]) for name in ("jax", "onnxruntime")))
