"""README.md of a run directory: what it is, how good, how to use it."""

from elman.tasks.rundir import RunConfig
from elman.train import History


def classifier_readme(config: RunConfig, history: History, network: str) -> str:
    """The page for a classifier, in Markdown; figures it was not told are left out."""
    about = config.about
    lines = [
        "# A text classifier made by elman",
        "",
        f"Reads a text character by character and answers {_or(config.classes)}.",
        f"{network} → {len(config.classes)} classes.",
        "",
    ]
    if data := about.data:
        digest = data.sha256[:16]
        lines += [f"Learned from `{data.file}` ({data.rows} rows, SHA-256 `{digest}…`).", ""]
    if result := about.held_out:
        lines += [
            "| on rows it never saw | |",
            "|---|---|",
            f"| rows | {result.rows} |",
            f"| accuracy | {result.accuracy:.3f} |",
            f"| accuracy of always giving the commonest class | {result.majority:.3f} |",
            "",
        ]
    if history.records:
        lines += [
            f"Trained for {len(history.records)} epochs; the weights are those of epoch "
            f"{history.best_epoch}. Every epoch is a line of `metrics.jsonl`.",
            "",
        ]
    if about.command:
        lines += ["Made by", "", f"    {about.command}", ""]
    versions = ", ".join(f"{name} {version}" for name, version in config.versions.items())
    lines += [f"Seed {config.settings['random_state']}; {versions}.", ""]
    column = about.columns.get("text")
    lines += [
        f"Use it, on a file with a column `{column}`:" if column else "Use it:",
        "",
        f"    elman predict THIS_DIRECTORY FILE.csv{'' if column else ' --text COLUMN'}",
        "",
        "or in Python:",
        "",
        "    from elman import Classifier",
        '    Classifier.load("THIS_DIRECTORY").predict(["..."])',
        "",
    ]
    return "\n".join(lines)


def _or(classes: list) -> str:
    names = [f"`{c}`" for c in classes]
    return f"{', '.join(names[:-1])} or {names[-1]}"
