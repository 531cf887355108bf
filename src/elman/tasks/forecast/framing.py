"""The rows to learn a series from, and the frame that is fitted to them."""

import numpy as np

from elman.tasks.forecast.frame import Frame
from elman.tasks.forecast.inputs import SPARE, TooShortError, fitted_rows, least_rows
from elman.tasks.settings import ForecasterSettings


def framed(y: np.ndarray, settings: ForecasterSettings) -> tuple[Frame, int]:
    """The frame, fitted to the rows to learn from, and how many those are."""
    horizon, season = settings.horizon, settings.season
    fitted = fitted_rows(len(y), horizon, settings.validation)
    frame = None
    if fitted >= max(2 * horizon, (season or 1) + horizon) + SPARE:
        frame = Frame.of(y[:fitted], horizon, season)
        if fitted >= max(frame.seasons) + horizon + SPARE:
            return frame, fitted
    m = season or (max(frame.seasons) if frame else 1)
    least = least_rows(horizon, m, settings.validation)
    raise TooShortError(len(y), least, f"forecast {horizon} steps with a season of {m}")
