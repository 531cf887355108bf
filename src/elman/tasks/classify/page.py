"""README.md of a classifier's run directory."""

from elman.tasks.config import ClassifierConfig
from elman.tasks.page import figure_rows, page
from elman.train import History


def classifier_page(config: ClassifierConfig, history: History, network: str) -> str:
    """The page; figures it was not told are left out."""
    columns = config.about.columns
    told = bool(columns)
    numbers = config.reader.get("kind") == "numbers"
    name = columns.get("text") or columns.get("sequence")
    needs = f", on a file with a column `{name}`" if name else ""
    example = "[0.5, 0.7]" if numbers else '"..."'
    flag = "" if told else " --sequence COLUMN" if numbers else " --text COLUMN"
    return page(
        f"A {'sequence' if numbers else 'text'} classifier made by elman",
        [
            f"Reads {'sequences of numbers' if numbers else 'texts'} and answers "
            f"{_or(config.classes)}.",
            f"{network} → {len(config.classes)} classes.",
        ],
        figure_rows(
            config,
            ("rows", "rows", ".0f"),
            ("accuracy", "accuracy", ".3f"),
            ("majority", "accuracy of always giving the commonest class", ".3f"),
        ),
        [
            f"Use it{needs}:",
            "",
            f"    elman predict THIS_DIRECTORY FILE.csv{flag}",
            "",
            "or in Python:",
            "",
            "    from elman import Classifier",
            f'    Classifier.load("THIS_DIRECTORY").predict([{example}])',
        ],
        config,
        history,
    )


def _or(classes: list) -> str:
    names = [f"`{c}`" for c in classes]
    return f"{', '.join(names[:-1])} or {names[-1]}"
