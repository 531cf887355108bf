"""Draw every picture of the pages: python -m docs.learn.scripts.draw."""

import json
from pathlib import Path

from docs.learn.scripts import charts, sketches
from docs.learn.scripts.labels import LABELS
from docs.learn.scripts.measure import FILE

FIGURES = Path(__file__).resolve().parent.parent / "figures"


def pictures() -> dict[str, str]:
    """Every file by its name."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    drawn = {}
    for language, labels in LABELS.items():
        end = ".svg" if language == "en" else f".{language}.svg"
        for name in ("unrolled", "one_step", "shapes", "tasks", "packed"):
            picture = getattr(sketches, name)(labels[name])
            drawn[name.replace("_", "-") + end] = picture
        for name in ("gradients", "remedies"):
            picture = getattr(charts, name)(found[name], labels[name], language)
            drawn[name + end] = picture
    return drawn


def main() -> None:
    """Write them."""
    FIGURES.mkdir(exist_ok=True)
    for name, picture in pictures().items():
        (FIGURES / name).write_text(picture, encoding="utf-8")
    print(f"drew {len(pictures())} pictures in docs/learn/figures")


if __name__ == "__main__":
    main()
