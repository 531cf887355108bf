"""README.md of a generator's run directory."""

from elman.tasks.config import GeneratorConfig
from elman.tasks.page import figure_rows, page
from elman.train import History


def generator_page(config: GeneratorConfig, history: History, network: str) -> str:
    """The page; figures it was not told are left out."""
    return page(
        "A text generator made by elman",
        ["Reads a text and writes on.", f"{network} → the next one."],
        figure_rows(
            config,
            ("rows", "characters", ".0f"),
            ("bits_per_character", "bits per character", ".3f"),
            ("unigram_bits", "bits per character by how common each token is", ".3f"),
            ("perplexity", "perplexity of each token", ".2f"),
            ("unknown", "share of the tokens it does not know", ".4f"),
        ),
        [
            "Use it:",
            "",
            '    elman generate THIS_DIRECTORY --prompt "..." --length 200',
            "",
            "or in Python:",
            "",
            "    from elman import Generator",
            '    Generator.load("THIS_DIRECTORY").generate("...", length=200)',
        ],
        config,
        history,
    )
