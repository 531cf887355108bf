"""`elman demo`: a network learns from a real file and answers, in under a minute."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The run directory.")] = Path(
        "runs/demo"
    ),
) -> None:
    """Train on Chinese medical terms and their counterfeits, and judge some never seen."""
    import torch

    from elman.cli.console import line
    from elman.cli.train import run_classifier
    from elman.data import read_table
    from elman.tasks import Classifier
    from elman.tasks.classify import Columns

    file = resources.files("elman.examples") / "data" / "terms_zh.csv"
    print("Which of these strings are real Chinese medical terms, which are counterfeits?")
    torch.set_num_threads(1)  # as `elman train`: so small a network is no faster with more
    model = Classifier()
    with resources.as_file(file) as path:
        outcome = run_classifier(
            model, read_table(path), Columns("term", "label", "group"), hold_out=0.2, out=out
        )
    shown = outcome.held_out.texts[:5]
    probabilities = model.predict_proba(shown).max(1)
    line("examples", "five of the rows held out, the first in the file:")
    for text, truth, answer, p in zip(
        shown, outcome.held_out.labels, outcome.answers, probabilities, strict=False
    ):
        verdict = "right" if truth == answer else f"wrong, it is {truth}"
        line("", f"{text}  →  {answer} ({p:.2f})  {verdict}")
    line("next", f"elman predict {out} YOUR.csv --text COLUMN")
