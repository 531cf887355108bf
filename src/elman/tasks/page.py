"""README.md of a run directory: what it is, how good it is, how to use it."""

from elman.tasks.config import RunConfig
from elman.train import History


def page(
    title: str,
    about: list[str],
    figures: list[tuple[str, str]],
    use: list[str],
    config: RunConfig,
    history: History,
) -> str:
    """The page in Markdown; what it was not told is left out.

    Args:
        title: the headline.
        about: lines that say what the model does.
        figures: a name and a number each, on what the model never saw.
        use: lines that say how to use it.
        config, history: of the run.
    """
    lines = [f"# {title}", "", *about, ""]
    if data := config.about.data:
        seen = f"; it saw {data.seen}" if data.seen else ""
        size = f"{data.rows} {'characters' if config.task == 'generate' else 'rows'}"
        lines += [
            f"Learned from `{data.file}` ({size}, SHA-256 `{data.sha256[:16]}…`){seen}.",
            "",
        ]
    if figures:
        lines += ["| on what it never saw | |", "|---|---|"]
        lines += [f"| {name} | {figure} |" for name, figure in figures]
        lines.append("")
    if history.records:
        part = "" if history.stopped is None else f", stopped after step {history.stopped} of it"
        lines += [
            f"Trained to epoch {history.epochs}{part}; the weights are those of epoch "
            f"{history.best_epoch}. Every epoch is a line of `metrics.jsonl`; `report.html` shows "
            "them.",
            "",
        ]
    if config.about.command:
        lines += ["Made by", "", f"    {config.about.command}", ""]
    versions = ", ".join(f"{name} {version}" for name, version in config.versions.items())
    seed = config.settings["random_state"]
    lines += [f"Seed {seed}; {versions}.", "", *use, ""]
    return "\n".join(lines)


def _figure(config: RunConfig, name: str) -> float | None:
    """A number of `about.held_out`, if it is there."""
    held_out = config.about.held_out
    return held_out.figure(name) if held_out else None


def figure_rows(config: RunConfig, *rows: tuple[str, str, str]) -> list[tuple[str, str]]:
    """Rows for `page`: (name of the figure, what to call it, format), where it is known."""
    found = [(label, form, _figure(config, name)) for name, label, form in rows]
    return [(label, format(value, form)) for label, form, value in found if value is not None]
