"""Forecasts that need no learning, and what was to be forecast.

Arrays of forecasts are (T, H, C): row t holds what is said of the next H steps when the values up
to and with t are known, for each of C columns.
"""

import numpy as np


def naive(y: np.ndarray, horizon: int) -> np.ndarray:
    """The last value, for every step to come: (T, H, C) of (T, C)."""
    return np.repeat(y[:, None], horizon, axis=1)


def seasonal_naive(y: np.ndarray, horizon: int, seasons: list[int]) -> np.ndarray:
    """The value of the same point of the season before, (T, H, C); the last where there is none.

        ŷ_{t+h} = y_{t+h-m⌈h/m⌉}

    Args:
        y: (T, C).
        horizon: H.
        seasons: m of each column.

    >>> y = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> seasonal_naive(y, 3, [2])[3, :, 0].tolist()
    [3.0, 4.0, 3.0]
    """
    out = naive(y, horizon)
    t, h = np.arange(len(y))[:, None], np.arange(1, horizon + 1)[None]
    for column, m in enumerate(seasons):
        then = t + h - m * -(-h // m)
        there = then >= 0
        out[:, :, column] = np.where(there, y[np.maximum(then, 0), column], out[:, :, column])
    return out


def followed(y: np.ndarray, horizon: int) -> np.ndarray:
    """What came, (T, H, C); NaN beyond the end of the series.

    >>> followed(np.array([[1.0], [2.0], [3.0]]), 2)[:, :, 0].tolist()
    [[2.0, 3.0], [3.0, nan], [nan, nan]]
    """
    out = np.full((len(y), horizon, y.shape[1]), np.nan)
    for h in range(1, min(horizon, len(y) - 1) + 1):
        out[: len(y) - h, h - 1] = y[h:]
    return out
