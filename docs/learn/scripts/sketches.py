"""The pictures that explain: networks, shapes, packed rows. One function a picture."""

import torch

from docs.learn.scripts.svg import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    LINE,
    ORANGE,
    PALE,
    WHITE,
    arrow,
    box,
    circle,
    picture,
    text,
)  # fmt: skip
from docs.site.demos import one_step as network

Words = dict[str, str]


def unrolled(words: Words) -> str:
    """Page 1: three steps of reading."""
    body, y = [], 92
    letters = words["letters"].split()
    for t, letter in enumerate(letters, 1):
        x = 40 + 140 * t
        body += [
            box(x - 36, y - 26, 72, 52, fill=PALE, stroke=BLUE),
            text(x, y + 6, "f", size=18),
            arrow(x - 104, y, x - 40, y),
            text(x - 70, y - 10, f"h_{t - 1}", fill=BLUE),
            arrow(x, y + 84, x, y + 30),
            text(x + 10, y + 62, f"x_{t}", anchor="start", fill=ORANGE),
            text(x, y + 108, letter, size=20),
        ]
    x = 40 + 140 * len(letters)
    body += [
        arrow(x + 36, y, x + 72, y),
        text(x + 62, y - 10, f"h_{len(letters)}", fill=BLUE),
        text(20, 28, words["top"], anchor="start", fill=FAINT, size=14),
        text(20, y + 62, words["x"], anchor="start", fill=ORANGE, size=14),
        text(20, y - 38, words["h"], anchor="start", fill=BLUE, size=14),
    ]
    return picture(560, 222, words["told"], body)


def one_step(words: Words) -> str:
    """Page 2: the step worked out, with its numbers, which the layer computes."""
    rnn, sequence, h_0 = network()
    x, h = sequence[0], h_0[0]
    W_ih, W_hh = rnn.weight_ih_l0.detach(), rnn.weight_hh_l0.detach()
    bias = (rnn.bias_ih_l0 + rnn.bias_hh_l0).detach()
    z = W_ih @ x + W_hh @ h + bias
    with torch.inference_mode():
        new = rnn(x[None], h[None])[1][0]
    assert torch.allclose(new, z.tanh())
    left, middle, right = 84, 300, 470
    inputs = [(ORANGE, f"x_{k + 1}", x[k].item(), 66 + 70 * k) for k in range(2)]
    inputs += [(BLUE, f"h_{k + 1}", h[k].item(), 226 + 70 * k) for k in range(2)]
    body = [
        text(20, 28, words["from"], anchor="start", fill=FAINT, size=14),
        text(middle, 28, words["sum"], fill=FAINT, size=14),
        text(right, 28, words["new"], fill=FAINT, size=14),
    ]
    weights = torch.cat([W_ih, W_hh], 1)
    for i, y in enumerate((110, 258)):
        for j, (colour, _, _, y_in) in enumerate(inputs):
            share = 0.24 if i == 0 else 0.58  # side by side they would cover each other
            at = left + 24 + (middle - 36 - left - 24) * share, y_in + (y - y_in) * share
            body += [
                arrow(left + 24, y_in, middle - 38, y, stroke=LINE),
                box(at[0] - 20, at[1] - 11, 40, 22, fill=WHITE, radius=4),
                text(at[0], at[1] + 5, _short(weights[i, j]), size=14, fill=colour),
            ]
        body += [
            box(middle - 36, y - 26, 72, 52, stroke=INK),
            text(middle, y - 4, f"z_{i + 1}", size=14, fill=FAINT),
            text(middle, y + 16, _short(z[i])),
            text(middle, y + 44, f"{words['bias']} {_short(bias[i])}", size=13, fill=FAINT),
            arrow(middle + 36, y, right - 38, y),
            text((middle + right) / 2, y - 8, "tanh", size=14, fill=FAINT),
            box(right - 36, y - 26, 72, 52, stroke=GREEN),
            text(right, y - 4, f"h'_{i + 1}", size=14, fill=GREEN),
            text(right, y + 16, _short(new[i])),
        ]
    for colour, name, value, y in inputs:
        body += [
            circle(left, y, 24, stroke=colour),
            text(left, y + 5, _short(torch.tensor(value))),
            text(left - 34, y + 5, name, anchor="end", fill=colour),
        ]
    return picture(540, 336, words["told"], body)


def _short(value: torch.Tensor) -> str:
    return f"{value.item():.3g}".replace("-", "−")


def shapes(words: Words) -> str:
    """Page 3: what output and h_n hold, two layers in two directions."""
    L, cell, left, top = 5, 56, 190, 74
    rows = [(1, "backward", 3), (1, "forward", 2), (0, "backward", 1), (0, "forward", 0)]
    body = [text(left + cell * (t + 0.5), top - 12, f"t = {t}", size=14) for t in range(L)]
    for k, (layer, direction, place) in enumerate(rows):
        y = top + k * 46 + (14 if layer == 0 else 0)
        name = f"{words['layer']} {layer}, {words[direction]}"
        body.append(text(left - 12, y + 25, name, anchor="end", size=14))
        last = L - 1 if direction == "forward" else 0
        for t in range(L):
            kept = t == last
            body.append(
                box(left + t * cell + 3, y + 3, cell - 6, 34, fill=WHITE if kept else PALE,
                    stroke=ORANGE if kept else "none", thick=2.5)
            )  # fmt: skip
        body.append(text(left + (last + 0.5) * cell, y + 26, f"h_n[{place}]", size=13, fill=ORANGE))
    body += [
        box(left - 5, top - 4, L * cell + 10, 96, fill="none", stroke=BLUE, dash="6 4", thick=2),
        text(left + L * cell + 4, top - 32, words["output"], anchor="end", fill=BLUE, size=14),
        text(20, top + 236, words["h_n"], anchor="start", fill=ORANGE, size=14),
    ]
    return picture(500, 326, words["told"], body)


def tasks(words: Words) -> str:
    """Page 5: which states an answer is made from."""
    body = []
    for k, name in enumerate(("one", "many", "generation")):
        top = 30 + k * 176
        body.append(text(20, top, words[name], anchor="start", bold=True))
        for t in range(1, 5):
            x, y = 70 + 104 * (t - 1), top + 72
            answers = name != "one" or t == 4
            body += [
                box(x, y - 17, 56, 34, stroke=BLUE),
                text(x + 28, y + 5, f"h_{t}", fill=BLUE),
                arrow(x + 28, y + 44, x + 28, y + 19),
                text(x + 28, y + 60, _read(name, t), fill=ORANGE),
                arrow(x - 46, y, x - 2, y) if t > 1 else "",
            ]
            if answers:
                answer = "y" if name == "one" else f"y_{t}"
                body += [arrow(x + 28, y - 17, x + 28, y - 38), text(x + 28, y - 44, answer)]
            if name == "generation" and t < 4:
                body.append(
                    f'<path d="M{x + 42} {y - 48}C{x + 84} {y - 52} {x + 74} {y + 54} {x + 114} '
                    f'{y + 55}" stroke="{GREEN}" stroke-width="1.6" fill="none" '
                    'stroke-dasharray="5 3" marker-end="url(#head)"/>'
                )
    return picture(500, 542, words["told"], body)


def _read(name: str, t: int) -> str:
    return f"y_{t - 1}" if name == "generation" and t > 1 else f"x_{t}"


def packed(words: Words) -> str:
    """Page 6: three rows of 2, 4 and 1 steps, padded and packed."""
    lengths, names, cell = (2, 4, 1), "abc", 46
    body = [text(20, 30, words["padded"], anchor="start", bold=True)]
    for n, length in enumerate(lengths):
        for t in range(max(lengths)):
            x, y, real = 150 + t * cell, 64 + n * 44, t < length
            body.append(
                box(x, y, cell - 6, 36, fill=PALE if real else WHITE,
                    stroke="none" if real else LINE, dash="" if real else "3 3")
            )  # fmt: skip
            body.append(
                text(
                    x + 20,
                    y + 24,
                    f"{names[n]}{t + 1}" if real else "0",
                    fill=INK if real else FAINT,
                )
            )
        told = f"{words['row']} {names[n]}"
        body.append(text(134, 88 + n * 44, told, anchor="end", size=14))
        body.append(text(350, 88 + n * 44, f"{words['length']} {length}", anchor="start", size=14))
    body += [
        *(text(170 + t * cell, 54, f"t={t + 1}", size=13, fill=FAINT) for t in range(4)),
        text(20, 234, words["packed"], anchor="start", bold=True),
    ]
    order = sorted(range(3), key=lambda n: -lengths[n])
    x = 20.0
    for t in range(max(lengths)):
        alive = [n for n in order if lengths[n] > t]
        start = x
        for n in alive:
            body.append(box(x, 252, cell - 6, 36))
            body.append(text(x + 20, 276, f"{names[n]}{t + 1}"))
            x += cell
        body.append(box(start - 4, 246, x - start + 2, 48, fill="none", stroke=BLUE, dash="6 4"))
        body.append(text((start + x - 6) / 2, 316, str(len(alive)), fill=BLUE))
        x += 14
    body.append(text(x + 6, 316, "batch_sizes", anchor="start", fill=BLUE, size=14))
    return picture(500, 332, words["told"], body)
