"""Series as a person hands them over, made fit to learn from; and how long they must be."""

import math
from typing import Any

import numpy as np

from elman.data.numbers import first_bad
from elman.errors import DataError

SPARE = 10  # rows above what the equations need, to learn from and to stop by
_LARGEST = 1e100  # of a value: its square is still a number


class TooShortError(DataError):
    """A series has too few rows to learn from.

    Attributes:
        least: how many it must have.
        task: what for, in words.
    """

    def __init__(self, rows: int, least: int, task: str) -> None:
        super().__init__(
            f"the series has {rows} rows to learn from; to {task} at least {least} are needed: "
            "give more rows, or a smaller horizon or season (--horizon, --season)"
        )
        self.least, self.task = least, task


def fitted_rows(rows: int, horizon: int, validation: float) -> int:
    """How many of the rows to learn from teach; the others tell when to stop."""
    return rows - max(math.ceil(validation * rows), horizon + SPARE)


def least_rows(horizon: int, season: int, validation: float) -> int:
    """How many rows a series must have to be learned from.

    >>> least_rows(10, 1, 0.15), least_rows(12, 12, 0.15)
    (50, 56)
    """
    fitted = max(season + horizon, 2 * horizon) + SPARE
    rows = max(fitted + horizon + SPARE, int(fitted / (1 - validation)) - 1)
    while fitted_rows(rows, horizon, validation) < fitted:
        rows += 1
    return rows


def as_series(X: Any, columns: int | None = None) -> np.ndarray:
    """Values as a float64 array (T, C).

    Args:
        X: (T,) or (T, C).
        columns: the C there should be, as in training. Default: any.

    Raises:
        DataError: they are no numbers, one is missing, or C is another.
    """
    try:
        y = np.asarray(X, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        raise DataError(f"X should be numbers, (T,) or (T, C), got {X!r:.60}") from None
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or y.size == 0:
        raise DataError(f"X should be numbers, (T,) or (T, C), got the shape {np.shape(X)}")
    if not np.isfinite(y).all():
        row = int(np.argwhere(~np.isfinite(y))[0][0])
        raise DataError(f"X[{row}] is {first_bad(y[row].tolist())}; fill it in or begin after it")
    if np.abs(y).max() > _LARGEST:
        row, column = np.argwhere(np.abs(y) > _LARGEST)[0]
        raise DataError(f"X[{row}] holds {y[row, column]:g}, above {_LARGEST:g}; use another unit")
    if columns is not None and y.shape[1] != columns:
        raise DataError(f"X should have {columns} columns as in training, got {y.shape[1]}")
    return y


def as_json(residuals: np.ndarray) -> list:
    """Nested lists with None for NaN, which JSON does not have."""
    values = residuals.astype(object)
    values[np.isnan(residuals)] = None
    return values.tolist()
