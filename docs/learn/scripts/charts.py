"""The pictures of what was measured; every number comes from measured.json."""

import math

from docs.learn.scripts.labels import setting
from docs.learn.scripts.svg import (
    BLUE,
    FAINT,
    GREEN,
    LINE,
    ORANGE,
    PURPLE,
    RED,
    area,
    circle,
    line,
    picture,
    text,
)

#: A colour and a pattern of dashes each: no line is told by its colour alone.
LOOKS = {
    "tanh, orthogonal × 1.5": (RED, "10 3 2 3"),
    "relu, identity": (GREEN, ""),
    "tanh, orthogonal": (BLUE, "9 4"),
    "tanh, uniform": (ORANGE, "4 3"),
    "relu, uniform": (PURPLE, "2 3"),
}


def gradients(found: dict, words: dict[str, str], language: str) -> str:
    """Page 7: size against steps back, on a logarithmic scale."""
    left, right, top, bottom, low, high = 62, 366, 46, 356, -21, 2

    def place(k: int, size: float) -> tuple[float, float]:
        share = (high - math.log10(size)) / (high - low)
        return left + (right - left) * k / 50, top + (bottom - top) * share

    body = [text(14, 26, words["y"], anchor="start", fill=FAINT, size=14)]
    for power in range(-20, 1, 5):
        (x, y) = place(0, 10.0**power)
        body.append(line([(x, y), (right, y)], stroke=LINE, thick=0.6))
        body.append(text(left - 8, y + 5, _power(power), anchor="end", size=14))
    for k in range(0, 51, 10):
        body.append(text(place(k, 1)[0], bottom + 20, str(k), size=14))
    body.append(text((left + right) / 2, bottom + 42, words["x"], size=14, fill=FAINT))
    for name, (colour, dash) in LOOKS.items():
        of = found[name]
        band = [place(k, s) for k, s in enumerate(of["largest"])]
        band += reversed([place(k, s) for k, s in enumerate(of["least"])])
        middle = [place(k, s) for k, s in enumerate(of["median"])]
        body += [area(band, fill=colour), line(middle, stroke=colour, dash=dash)]
        y = middle[-1][1] + {"relu, identity": 6, "tanh, orthogonal": 8}.get(name, 5)
        body.append(
            text(right + 8, y, setting(name, language), anchor="start", fill=colour, size=13)
        )
    return picture(530, bottom + 58, words["told"], body)


def _power(k: int) -> str:
    raised = str(k).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "1" if k == 0 else f"10{raised}"


def remedies(found: dict, words: dict[str, str], language: str) -> str:
    """Page 8: a panel a setting, a dot a seed."""
    body, width, height = [], 210, 118
    body.append(text(14, 26, words["dots"], anchor="start", size=14, fill=FAINT))
    for k, (name, by_length) in enumerate(found.items()):
        left, top = 50 + (k % 2) * 250, 66 + (k // 2) * 186
        colour = LOOKS[name][0]
        body.append(text(left, top - 12, setting(name, language), anchor="start", bold=True))
        for share, told in ((0.0, "0"), (0.25, "¼"), (1.0, "1")):
            y = top + height * (1 - share)
            dash = "4 3" if share == 0.25 else ""
            body.append(line([(left, y), (left + width, y)], stroke=LINE, dash=dash, thick=1))
            body.append(text(left - 8, y + 5, told, anchor="end", size=13))
        guess = top + height * 0.75 + 15
        body.append(text(left + 4, guess, words["chance"], anchor="start", size=12, fill=FAINT))
        for j, (length, shares) in enumerate(by_length.items()):
            middle = left + width * (j + 0.5) / len(by_length)
            body.append(text(middle, top + height + 20, length, size=13))
            for i, share in enumerate(shares):
                x = middle + (i - (len(shares) - 1) / 2) * 7
                body.append(circle(x, top + height * (1 - share), 3.4, fill="none", stroke=colour))
    body.append(text(275, 66 + 186 + height + 44, words["x"], size=14, fill=FAINT))
    return picture(530, 66 + 186 + height + 60, words["told"], body)
