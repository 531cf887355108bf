"""What report.html shows of a forecaster: forecasts beside what came and beside naive ones."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.tasks.evidence import Column, ForecasterEvidence, On, Told
from elman.tasks.forecast.inputs import as_series
from elman.tasks.forecast.judge import interval, known_at
from elman.tasks.forecast.naive import followed, naive, seasonal_naive

if TYPE_CHECKING:
    from elman.tasks.forecast.forecaster import Forecaster

_ROWS, _COLUMNS = 400, 6  # shown at most: the last rows, the first series


def evidence_for(
    model: "Forecaster", X: Any, first: int, on: On, labels: list[str] | None = None
) -> ForecasterEvidence | None:
    """Forecasts of a series that begins with the rows a model learned from.

    Args:
        model: fitted.
        X: (T,) or (T, C).
        first: the first origin, a row number.
        on: "held out": intervals rest on what was known at each origin; "stopping": on these very
            rows.
        labels: when each row was. Default: "1", "2", ...

    Returns:
        None where no row is left to show.
    """
    y, horizon, nominal = as_series(X), model.settings_.horizon, model.settings_.coverage
    if len(y) - horizon - 1 < first:
        return None
    forecasts = model.forecasts(y)
    errors = np.abs(followed(y, horizon) - forecasts)

    def halves(t: int) -> np.ndarray:
        known = model.residuals_
        return interval(known_at(t, errors, first, known) if on == "held out" else known, nominal)

    rows = labels or [str(k + 1) for k in range(len(y))]
    seasons = model.frame_.seasons
    return evidence_of(y, forecasts, halves, seasons, model.columns_, rows, first, nominal, on)


def evidence_of(
    y: np.ndarray,
    forecasts: np.ndarray,
    halves: Callable[[int], np.ndarray],
    seasons: list[int],
    names: list[str],
    labels: list[str],
    first: int,
    nominal: float,
    on: On,
) -> ForecasterEvidence:
    """Forecasts from every H-th row, so that they follow each other.

    Args:
        y: the series, (T, C).
        forecasts: made at each row, (T, H, C).
        halves: half the width of the intervals at an origin, (H, C).
        seasons, names: of each column.
        labels: when each row was.
        first: the first origin.
        nominal: the share of values the intervals should hold.
        on: which rows these are.
    """
    T, horizon = len(y), forecasts.shape[1]
    last = T - horizon - 1  # the last origin all of whose steps came
    origins = range(first, last + 1)
    start = max(first, T - _ROWS)  # the last rows where they are too many
    shown = range(start + (last - start) % horizon, last + 1, horizon)
    begin = start + 1
    others = {"naive": naive(y, horizon), "seasonal": seasonal_naive(y, horizon, seasons)}
    came = followed(y, horizon)
    errors = {
        name: np.abs(came - said)[origins.start : origins.stop].mean(0)  # (H, C)
        for name, said in (("mae", forecasts), *others.items())
    }
    width = {t: halves(t) for t in shown}
    return ForecasterEvidence(
        on=on,
        labels=labels[begin:],
        nominal=nominal,
        columns=[
            Column(
                name=names[c],
                season=seasons[c],
                truth=y[begin:, c].tolist(),
                told=[
                    Told(
                        row=t + 1 - begin,
                        model=forecasts[t, :, c].tolist(),
                        lower=_finite(forecasts[t, :, c] - width[t][:, c]),
                        upper=_finite(forecasts[t, :, c] + width[t][:, c]),
                        **{name: said[t, :, c].tolist() for name, said in others.items()},
                    )
                    for t in shown
                ],
                **{name: error[:, c].tolist() for name, error in errors.items()},
            )
            for c in range(min(y.shape[1], _COLUMNS))
        ],
    )


def _finite(values: np.ndarray) -> list[Any]:
    return [value if np.isfinite(value) else None for value in values.tolist()]
