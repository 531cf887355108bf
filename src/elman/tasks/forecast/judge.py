"""How good forecasts are: from a rolling origin, beside those that need no learning."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.tasks.forecast.naive import followed, naive, seasonal_naive

KEPT = 500  # residuals of each step ahead, at most, of those who told when to stop and of later


@dataclass(frozen=True)
class Evaluation:
    """Errors of the forecasts made at each origin, for each step ahead and column.

    An origin is a row up to which everything is known; the network is not trained again.

    Attributes:
        first, last: the first and the last origin, row numbers from 0.
        mae: mean absolute error of the model, (H, C).
        naive, seasonal: of the naive and the seasonal-naive forecast, (H, C).
        step: mean absolute change from row to row where the model learned, (C,).
        covered: share of the values that lay in their interval, (H, C).
        nominal: the share that should.
    """

    first: int
    last: int
    mae: np.ndarray
    naive: np.ndarray
    seasonal: np.ndarray
    step: np.ndarray
    covered: np.ndarray
    nominal: float

    @property
    def origins(self) -> int:
        """How many there are."""
        return self.last - self.first + 1

    @property
    def mases(self) -> np.ndarray:
        """Mean absolute scaled error of each column, (C,): MAE over that of the naive forecast of
        one step where the model learned (Hyndman and Koehler 2006); NaN where that made no error.
        """
        return self.mae.mean(0) / np.where(self.step > 0, self.step, np.nan)

    @property
    def mase(self) -> float:
        """The mean of `mases`, of the columns that have one."""
        known = self.mases[self.step > 0]
        return float(known.mean()) if len(known) else math.nan

    def skills(self, against: str = "better") -> np.ndarray:
        """1 - MAE / MAE of another forecast, for each column: 0 is no better, 1 is perfect.

        Args:
            against: "naive", "seasonal", or "better": for each column the one of the two with
                the lower error over all steps ahead.
        """
        naive, seasonal = self.naive.mean(0), self.seasonal.mean(0)
        other = {"naive": naive, "seasonal": seasonal, "better": np.minimum(naive, seasonal)}
        mine, theirs = self.mae.mean(0), other[against]
        # where the other makes no error at all, there is nothing to be gained
        worse = np.where(mine > 0, -np.inf, 0.0)
        ratio = np.divide(mine, theirs, out=1 - worse, where=theirs > 0)
        return 1 - ratio

    def skill(self, against: str = "better") -> float:
        """The mean of `skills` over the columns."""
        return float(np.mean(self.skills(against)))

    @property
    def coverage(self) -> float:
        """Share of all values that lay in their interval."""
        return float(self.covered.mean())

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON; those that are no number are None."""
        figures = {
            "origins": self.origins,
            "mae": float(self.mae.mean()),
            "mase": self.mase,
            "skill": self.skill(),
            "skill_naive": self.skill("naive"),
            "skill_seasonal": self.skill("seasonal"),
            "coverage": self.coverage,
            "nominal": self.nominal,
        }
        return {
            k: v if isinstance(v, int) or math.isfinite(v) else None for k, v in figures.items()
        }


def interval(residuals: np.ndarray, nominal: float) -> np.ndarray:
    """Half the width of the intervals, (H, C), from absolute residuals (n, H, C), NaN left out.

    The ⌈(n + 1) · nominal⌉-th smallest (split conformal prediction, Lei et al. 2018, arXiv
    1604.04173), or the largest where there are too few.

    >>> interval(np.arange(1.0, 20.0).reshape(19, 1, 1), 0.9).tolist()
    [[18.0]]
    """
    if not len(residuals):
        return np.full(residuals.shape[1:], np.inf)
    ordered = np.sort(residuals, axis=0)  # NaN last
    count = (~np.isnan(residuals)).sum(0)
    place = np.minimum(np.ceil((count + 1) * nominal - 1e-9), count).astype(int) - 1
    found = np.take_along_axis(ordered, np.maximum(place, 0)[None], axis=0)[0]
    return np.where(count > 0, found, np.inf)


def evaluated(
    y: np.ndarray,
    forecasts: np.ndarray,
    seasons: list[int],
    first: int,
    known: np.ndarray,
    nominal: float,
    step: np.ndarray,
) -> Evaluation:
    """Judge forecasts from origin `first` on.

    Args:
        y: the series, (T, C).
        forecasts: made at each row, (T, H, C).
        seasons: of each column.
        first: the first origin.
        known: absolute residuals from before, (n, H, C): the intervals rest on these and, of
            those since `first` that are known at the origin, on the last `KEPT`.
        nominal: the share of values the intervals should hold.
        step: see `Evaluation`.
    """
    horizon = forecasts.shape[1]
    last = len(y) - horizon - 1  # at every origin all steps ahead can be judged
    came, rows = followed(y, horizon), slice(first, last + 1)
    errors = np.abs(came - forecasts)
    covered = np.stack(
        [
            errors[t] <= interval(known_at(t, errors, first, known), nominal)
            for t in range(first, last + 1)
        ]
    )
    return Evaluation(
        first,
        last,
        errors[rows].mean(0),
        np.abs(came - naive(y, horizon))[rows].mean(0),
        np.abs(came - seasonal_naive(y, horizon, seasons))[rows].mean(0),
        step,
        covered.mean(0),
        nominal,
    )


def known_at(t: int, errors: np.ndarray, first: int, known: np.ndarray) -> np.ndarray:
    """Residuals known at origin t: those of forecasts whose time has come."""
    horizon = errors.shape[1]
    first = max(first, t - KEPT - horizon + 1)
    since = errors[first:t].copy()  # made at rows first, ..., t - 1
    age, ahead = t - np.arange(first, t)[:, None], np.arange(1, horizon + 1)
    since[(age < ahead) | (age >= ahead + KEPT)] = np.nan
    return np.concatenate([known, since])
