"""scaling.json of a forecaster, read back and checked."""

from typing import NamedTuple

import numpy as np

from elman.tasks.config import ForecasterConfig
from elman.tasks.documents import SCALING, Documents, read_document
from elman.tasks.forecast.frame import Frame


class Restored(NamedTuple):
    """What it holds; see `Forecaster`."""

    frame: Frame
    step: np.ndarray
    residuals: np.ndarray
    later: np.ndarray


def restored(documents: Documents, config: ForecasterConfig, horizon: int) -> Restored:
    """The frame, the mean step of each column, and the residuals.

    Raises:
        RunDirectoryError: the file is missing or damaged.
    """
    raw, C = read_document(documents, SCALING, config), len(config.columns)
    try:
        frame = Frame.from_dict(raw, horizon, C)
        step = np.array(raw["step"], dtype=np.float64)
        residuals, later = (
            np.array(raw[name], dtype=np.float64).reshape(-1, horizon, C)
            for name in ("residuals", "later")
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise documents.damaged(SCALING, str(error)) from None
    if step.shape != (C,) or not (np.isfinite(step) & (step >= 0)).all():
        raise documents.damaged(SCALING, f"step should be {C} numbers from 0 on")
    errors = np.concatenate([residuals, later])
    if (errors < 0).any() or np.isinf(errors).any() or np.isnan(errors).all(0).any():
        raise documents.damaged(SCALING, "residuals should be numbers from 0 on")
    return Restored(frame, step, residuals, later)
