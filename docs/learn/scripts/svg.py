"""Shapes and words of the pages' pictures, in one style: plain SVG, written as text."""

from html import escape

INK, FAINT, LINE, PALE, WHITE = "#1f2430", "#555c6b", "#9aa1ac", "#eceff4", "#ffffff"
BLUE, ORANGE, GREEN, PURPLE, RED = "#215caa", "#c2550f", "#2d7d46", "#7a4bb0", "#a52a3a"
_FONT = "system-ui,'Noto Sans CJK SC','PingFang SC','Microsoft YaHei','DejaVu Sans',sans-serif"


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float = 15,
    anchor: str = "middle",
    fill: str = INK,
    bold: bool = False,
) -> str:
    """Words at a place; y is their baseline."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" '
        f'fill="{fill}"{weight}>{escape(words)}</text>'
    )


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str = PALE,
    stroke: str = "none",
    thick: float = 1.5,
    radius: float = 6,
    dash: str = "",
) -> str:
    """A rectangle, its corner at (x, y)."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:g}" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="{thick:g}"{dashes}/>'
    )


def circle(x: float, y: float, radius: float, *, fill: str = WHITE, stroke: str = INK) -> str:
    """A circle about (x, y)."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}" stroke="{stroke}" '
        'stroke-width="1.5"/>'
    )


def arrow(x1: float, y1: float, x2: float, y2: float, *, stroke: str = FAINT) -> str:
    """A straight arrow."""
    return (
        f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{stroke}" stroke-width="1.6" '
        'fill="none" marker-end="url(#head)"/>'
    )


def line(
    points: list[tuple[float, float]], *, stroke: str, dash: str = "", thick: float = 2
) -> str:
    """A line through points."""
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{d}" stroke="{stroke}" stroke-width="{thick:g}" fill="none"{dashes}/>'


def area(points: list[tuple[float, float]], *, fill: str) -> str:
    """A surface with these corners, seen through."""
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z"
    return f'<path d="{d}" fill="{fill}" fill-opacity="0.16"/>'


def picture(width: int, height: int, told: str, body: list[str]) -> str:
    """The whole file; `told` says in words what is to be seen."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(told)}" font-family="{_FONT}">'
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10Z" fill="{FAINT}"/></marker></defs>'
        f'<rect width="{width}" height="{height}" rx="8" fill="{WHITE}"/>'
        + "".join(body)
        + "</svg>\n"
    )
