"""Draw docs/reading.svg: the demo's network reading a term and its counterfeit.

    elman demo && python docs/make_picture.py

The pair is the first of the held-out part, in the order of the file, that has five or six
characters and of which the network judges both rightly. Every number comes from the run.
"""

from html import escape
from pathlib import Path

import torch

from elman import Classifier
from elman.data import grouped_split, read_table
from elman.tasks.classify.files import Columns, Examples, read_examples

HERE = Path(__file__).resolve().parent
TERMS = HERE.parent / "examples" / "data" / "terms_zh.csv"
UNITS, CELL, STEP, LEFT, GAP = 32, 7, 62, 70, 60


def main() -> None:
    """Write the picture."""
    model = Classifier.load("runs/demo/terms")
    real, fake = pair(model, read_examples(read_table(TERMS), Columns("term", "label", "group")))
    panels = [reading(model, text) for text in (real, fake)]
    # the units whose states differ most over all steps drawn, in one order for both panels
    spread = torch.cat([states for states, _ in panels]).std(0)
    units = spread.argsort(descending=True)[:UNITS]
    width = LEFT + GAP + 2 * STEP * len(real) + 30
    height = 96 + UNITS * CELL + 118
    body = []
    for k, (text, (states, p_real)) in enumerate(zip((real, fake), panels, strict=True)):
        x = LEFT + k * (STEP * len(real) + GAP)
        body.append(panel(x, text, ("real", "fake")[k], states[:, units], p_real))
    (HERE / "reading.svg").write_text(page(width, height, "".join(body)), "utf-8")
    print(f"wrote docs/reading.svg: {real} and {fake}")


def pair(model: Classifier, examples: Examples) -> tuple[str, str]:
    """The term and the counterfeit to draw."""
    _, held = grouped_split(examples.labels, examples.groups, 0.2, model.random_state)
    held_out = examples.subset(held)
    answers = model.predict(held_out.inputs).tolist()
    right: dict[str, dict[str, str]] = {}
    for text, label, group, answer in zip(
        held_out.inputs, held_out.labels, held_out.groups, answers, strict=True
    ):
        if answer == label and 5 <= len(text) <= 6:
            right.setdefault(group, {})[label] = text
    found = next(texts for texts in right.values() if len(texts) == 2)
    return found["real"], found["fake"]


def reading(model: Classifier, text: str) -> tuple[torch.Tensor, list[float]]:
    """The states after each character, (L, H), and the probability of "real" at each."""
    network = model.model_
    with torch.inference_mode():
        tokens = torch.tensor([model.reader_.vocabulary.encode(text)])
        states, _ = network.rnn(network.embedding(tokens))  # (1, L, H)
        p = network.linear(states[0]).softmax(1)[:, model.classes_.tolist().index("real")]
    assert abs(p[-1].item() - model.predict_proba([text])[0][1]) < 1e-6
    return states[0], p.tolist()


def panel(x: int, text: str, label: str, states: torch.Tensor, p_real: list[float]) -> str:
    """One text: its characters, its states as strips of colour, the probability below."""
    top, bottom = 96, 96 + UNITS * CELL
    parts = [f'<text x="{x}" y="52" class="title">{label}: {escape(text)}</text>']
    for t, (character, row, p) in enumerate(zip(text, states.tolist(), p_real, strict=True)):
        left, middle = x + t * STEP, x + t * STEP + STEP / 2 - 4
        parts.append(f'<text x="{middle}" y="{top - 12}" class="char">{escape(character)}</text>')
        for i, h in enumerate(row):
            parts.append(
                f'<rect x="{left}" y="{top + i * CELL}" width="{STEP - 8}" height="{CELL - 1}" '
                f'fill="{colour(h)}"/>'
            )
        base = bottom + 66
        parts.append(
            f'<rect x="{left}" y="{bottom + 18}" width="{STEP - 8}" height="48" class="frame"/>'
            f'<rect x="{left}" y="{base - 48 * p:.1f}" width="{STEP - 8}" height="{48 * p:.1f}" '
            f'class="bar"/><text x="{middle}" y="{base + 18}" class="number">{p:.2f}</text>'
        )
    return "".join(parts)


def colour(h: float) -> str:
    """Blue for -1, near white for 0, orange for 1."""
    end = (214, 96, 20) if h > 0 else (33, 92, 170)
    share = min(abs(h), 1.0)
    return "#" + "".join(f"{round(244 + (c - 244) * share):02x}" for c in end)


def page(width: int, height: int, body: str) -> str:
    """The whole file."""
    middle = 96 + UNITS * CELL // 2
    foot = 96 + UNITS * CELL
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" role="img" aria-label="Hidden states and probability, step by step, '
        'of a real term and its counterfeit"><style>'
        "text{font-family:system-ui,'Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif;"
        "fill:#1f2430}.title{font-size:19px;font-weight:600}.char{font-size:24px;"
        "text-anchor:middle}.number{font-size:13px;text-anchor:middle}.note{font-size:12px;"
        "fill:#555c6b}.frame{fill:#eceff4}.bar{fill:#2d7d46}</style>"
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>'
        '<text x="14" y="24" class="note">The network that `elman demo` trained, reading two '
        "strings it never saw.</text>"
        f'<text x="{LEFT}" y="{foot + 104}" class="note">{UNITS} of its hidden units: '
        "orange +1, white 0, blue -1. P(real): what it would answer if the string ended here."
        "</text>"
        f'<text x="14" y="{middle}" class="note">h_t</text>'
        f'<text x="14" y="{foot + 42}" class="note">P(real)</text>'
        f"{body}</svg>\n"
    )


if __name__ == "__main__":
    main()
