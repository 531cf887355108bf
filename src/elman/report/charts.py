"""Charts as SVG by hand: lines over a horizontal axis, with a table of the same numbers.

Each is drawn twice, for a wide page and for a narrow one, so that letters have the same size on
both. Lines differ in dashes and in the shape of their points, not in colour alone.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from elman.report.frame import Markup, Words, both, labelled, number, shown, table

_SIZES = {"wide": (880, 280), "narrow": (344, 230)}
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 26, 30
_MARKED = 40  # a line of so many points or fewer shows each of them
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """Numbers over the horizontal axis.

    Attributes:
        name: what they are.
        points: (x, y), x rising. Several parts are drawn apart.
        style: 0 to 4: colour, dashes and the shape of the points; 4 is for what was true.
        marked: show every point. Default: where there are few.
        parts: more points of the same line, not joined to the others.
    """

    name: Words | str
    points: Points
    style: int = 0
    marked: bool = False
    parts: list[Points] = field(default_factory=list)

    @property
    def all(self) -> list[Points]:
        """Every part."""
        return [part for part in (self.points, *self.parts) if part]


@dataclass(frozen=True)
class Chart:
    """Lines on common axes.

    Attributes:
        title: what is shown.
        lines: of which at least one has a point.
        x: what the horizontal axis is.
        hint: how to read it.
        log: a logarithmic vertical axis; all numbers must be above 0.
        level: a horizontal line to hold the others against: where, and what it is.
        mark: a vertical one.
        bands: areas between (x, lower, upper), and their name.
        band_name: of these.
        tick: what stands under a place of the horizontal axis.
        form: how the table writes numbers.
        whole: whether only whole numbers make sense on the horizontal axis.
    """

    title: Words
    lines: Sequence[Line]
    x: Words
    hint: Words | None = None
    log: bool = False
    level: tuple[float, Words] | None = None
    mark: tuple[float, Words] | None = None
    bands: Sequence[Sequence[tuple[float, float, float]]] = ()
    band_name: Words | None = None
    tick: Callable[[float], str] = "{:g}".format
    form: str = ".4g"


def steps(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, not more than about `most`.

    >>> steps(0, 1), steps(3, 47, 5)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [10.0, 20.0, 30.0, 40.0])
    """
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


class _Axes:
    """Where numbers lie on a drawing of some width and height."""

    def __init__(self, chart: Chart, width: int, height: int) -> None:
        self.chart, self.width, self.height = chart, width, height
        xs = [x for line in chart.lines for part in line.all for x, _ in part]
        ys = [y for line in chart.lines for part in line.all for _, y in part]
        ys += [end for band in chart.bands for _, *ends in band for end in ends]
        if chart.level:
            ys.append(chart.level[0])
        self.x0, self.x1 = min(xs), max(xs)
        if self.x0 == self.x1:
            around = max(0.5, abs(self.x0) * 1e-3)
            self.x0, self.x1 = self.x0 - around, self.x1 + around
        low, high = min(ys), max(ys)
        if chart.log:
            low, high = math.log10(low), math.log10(high)
        room = (high - low) * 0.06
        if room < 1e-290:
            room = abs(high) * 0.1 if abs(high) > 1e-280 else 1.0
        self.y0, self.y1 = low - room, high + room

    def x(self, value: float) -> float:
        share = (value - self.x0) / (self.x1 - self.x0)
        return round(_LEFT + share * (self.width - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        value = math.log10(value) if self.chart.log else value
        share = (value - self.y0) / (self.y1 - self.y0)
        return round(self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM), 1)

    def y_ticks(self) -> list[float]:
        """Where the lines of the grid are."""
        if not self.chart.log:
            return steps(self.y0, self.y1, 5)
        powers = range(max(-300, math.ceil(self.y0)), min(300, math.floor(self.y1)) + 1)
        if len(powers) >= 2:
            return [10.0**p for p in powers[:: math.ceil(len(powers) / 6)]]
        low, high = (10.0 ** min(300, max(-300, end)) for end in (self.y0, self.y1))
        return [t for t in steps(low, high, 5) if t > 0]

    def x_ticks(self) -> list[float]:
        """Whole numbers only: epochs, rows, steps."""
        most = 9 if self.width > 500 else 4
        return [t for t in steps(self.x0, self.x1, most) if t == int(t)]


def draw(chart: Chart) -> Markup:
    """The figure: title, legend, drawings, hint, numbers."""
    parts = [
        f'<figure class="chart"><figcaption>{both(chart.title)}</figcaption>',
        _legend(chart),
        *(_svg(chart, kind, *size) for kind, size in _SIZES.items()),
        '<p class="readout" aria-hidden="true"></p>',
    ]
    if chart.hint:
        parts.append(f'<p class="hint">{both(chart.hint)}</p>')
    name = Words("The numbers", "数据")
    parts.append(f"<details><summary>{both(name)}</summary>{_numbers(chart)}</details></figure>")
    return Markup("".join(parts))


def _numbers(chart: Chart) -> Markup:
    known = [dict(itertools.chain.from_iterable(line.all)) for line in chart.lines]
    xs = sorted({x for values in known for x in values})
    ends = {x: (low, high) for band in chart.bands for x, low, high in band}
    heads: list[Words | str] = [chart.x, *(line.name for line in chart.lines)]
    rows: list[list[Words | str]] = []
    for x in xs:
        cells: list[Words | str] = [number(v.get(x), chart.form) for v in known]
        if ends:
            cells.append(_between(ends.get(x), chart.form))
        rows.append([shown(chart.tick(x)), *cells])
    if ends and chart.band_name:
        heads.append(chart.band_name)
    return table(heads, rows, xs)


def _between(ends: tuple[float, float] | None, form: str) -> Markup:
    if ends is None:
        return Markup("–")
    return Markup(f"{number(ends[0], form)} … {number(ends[1], form)}")


def _legend(chart: Chart) -> str:
    items = [
        f'<li><svg width="36" height="12" aria-hidden="true"><path class="line l{line.style}" '
        f'd="M1 6H35"/>{_point(18, 6, line.style)}</svg>{both(line.name)}</li>'
        for line in chart.lines
    ]
    if chart.bands and chart.band_name:
        items.append(
            '<li><svg width="36" height="12" aria-hidden="true"><path class="band" '
            f'd="M1 0H35V12H1Z"/></svg>{both(chart.band_name)}</li>'
        )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _point(x: float, y: float, style: int) -> str:
    """A point: round, square, a triangle, or a diamond."""
    if style in (0, 4):
        radius = 3 if style == 0 else 2.2
        return f'<circle class="point l{style}" cx="{x}" cy="{y}" r="{radius}"/>'
    shape = {
        1: "m-3 -3h6v6h-6z",
        2: "m0 -4l3.6 6.4h-7.2z",
        3: "m0 -4l4 4l-4 4l-4 -4z",
    }[style]
    return f'<path class="point l{style}" d="M{x} {y}{shape}"/>'


def _svg(chart: Chart, kind: str, width: int, height: int) -> str:
    axes = _Axes(chart, width, height)
    right, floor = width - _RIGHT, height - _BOTTOM
    out = [
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img" {labelled(_said(chart))} '
        f'data-left="{_LEFT}" data-right="{right}" data-x0="{axes.x0!r}" data-x1="{axes.x1!r}">'
    ]
    for tick in axes.y_ticks():
        y = axes.y(tick)
        out.append(f'<path class="grid" d="M{_LEFT} {y}H{right}"/>')
        out.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4}">{tick:g}</text>')
    for tick in axes.x_ticks():
        label = shown(chart.tick(tick))
        out.append(f'<text class="tick mid" x="{axes.x(tick)}" y="{height - 10}">{label}</text>')
    out.append(f'<path class="axis" d="M{_LEFT} {floor}H{right}"/>')
    for band in chart.bands:
        upper = " ".join(f"{axes.x(x)},{axes.y(high)}" for x, _, high in band)
        lower = " ".join(f"{axes.x(x)},{axes.y(low)}" for x, low, _ in reversed(band))
        out.append(f'<polygon class="band" points="{upper} {lower}"/>')
    lines, names = _references(chart, axes, right, floor)
    out += lines
    for line in chart.lines:
        for part in line.all:
            spots = [(axes.x(x), axes.y(y)) for x, y in part]
            path = " ".join(f"{x},{y}" for x, y in spots)
            out.append(f'<polyline class="line l{line.style}" points="{path}"/>')
            few = sum(map(len, line.all)) <= (_MARKED if width > 500 else _MARKED // 2)
            every = few or line.marked
            out += [_point(x, y, line.style) for x, y in (spots if every else spots[-1:])]
    out += names  # last, so that no line runs over them
    out.append(f'<path class="cross" d="M0 {_TOP}V{floor}"/></svg>')
    return "".join(out)


def _references(chart: Chart, axes: _Axes, right: int, floor: int) -> tuple[list[str], list[str]]:
    """The lines to hold others against, and their names."""
    out, names = [], []
    if chart.level:
        y = axes.y(chart.level[0])
        out.append(f'<path class="level" d="M{_LEFT} {y}H{right}"/>')
        names.append(_name(chart.level[1], right - 4, y - 5, "end"))
    if chart.mark:
        x = axes.x(chart.mark[0])
        out.append(f'<path class="mark" d="M{x} {_TOP}V{floor}"/>')
        end = "end" if x > (right + _LEFT) / 2 else ""
        names.append(_name(chart.mark[1], x, _TOP - 8, end))  # above what is drawn
    return out, names


def _name(words: Words, x: float, y: float, anchor: str) -> str:
    return "".join(
        f'<text class="name {anchor} {language}" x="{x}" y="{y}">{shown(text)}</text>'
        for language, text in zip(("en", "zh"), words, strict=True)
    )


def _said(chart: Chart) -> Words:
    """The chart in a sentence, for those who do not see it: where each line begins and ends."""
    en, zh = [chart.title.en], [chart.title.zh]
    for line in chart.lines:
        if not line.all:
            continue
        name = line.name if isinstance(line.name, Words) else Words(line.name, line.name)
        (_, first), (_, last) = line.all[0][0], line.all[-1][-1]
        en.append(f"{name.en}: from {first:.4g} to {last:.4g}")
        zh.append(f"{name.zh}：从 {first:.4g} 到 {last:.4g}")
    return Words("; ".join(en) + ".", "；".join(zh) + "。")
