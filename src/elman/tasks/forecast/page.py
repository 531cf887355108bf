"""README.md of a forecaster's run directory."""

from elman.tasks.config import ForecasterConfig
from elman.tasks.page import figure_rows, page
from elman.train import History


def forecaster_page(config: ForecasterConfig, history: History, network: str) -> str:
    """The page; figures it was not told are left out."""
    names = ", ".join(f"`{name}`" for name in config.columns)
    return page(
        "A forecaster made by elman",
        [
            f"Forecasts {names}, {config.settings['horizon']} steps ahead, with intervals.",
            f"{network}.",
        ],
        figure_rows(
            config,
            ("rows", "rows", ".0f"),
            ("origins", "origins of forecasts", ".0f"),
            ("mae", "mean absolute error", ".4g"),
            ("mase", "mean absolute scaled error", ".3f"),
            ("skill", "skill against the better naive forecast", ".3f"),
            ("skill_naive", "skill against naive", ".3f"),
            ("skill_seasonal", "skill against seasonal-naive", ".3f"),
            ("coverage", "share of values inside their interval", ".3f"),
            ("nominal", "share that should be", ".3f"),
        ),
        [
            "Use it, on a file that goes up to the present:",
            "",
            "    elman predict THIS_DIRECTORY FILE.csv",
            "",
            "or in Python:",
            "",
            "    from elman import Forecaster",
            '    Forecaster.load("THIS_DIRECTORY").predict(values)  # (T, C) → (H, C)',
        ],
        config,
        history,
    )
