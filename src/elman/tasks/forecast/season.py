"""After how many steps a series repeats, read off its autocorrelation."""

import math

import numpy as np

_LONGEST = 400


def autocorrelation(x: np.ndarray, lags: int) -> np.ndarray:
    """The correlation of a series with itself, 0 to `lags` steps later, (lags + 1,).

    Sums are divided by the whole length, so that long lags, of which there are fewer pairs, count
    less. Zero where the series is constant.

    >>> autocorrelation(np.array([1.0, -1.0, 1.0, -1.0]), 2).tolist()
    [1.0, -0.75, 0.5]
    """
    x = x - x.mean()
    total = float(x @ x)
    if total <= 1e-12 * len(x):
        return np.zeros(lags + 1)
    return np.array([float(x[: len(x) - k] @ x[k:]) / total for k in range(lags + 1)])


def find_season(x: np.ndarray) -> int:
    """The season of a series: the lag, from 2 to a third of its length, of a clear peak.

    A peak of the autocorrelation of the series without its linear trend is clear where it is
    above 0.3 and above three standard errors (3/√T), and rises by 0.2 from the lowest value
    before it. Among the clear ones the score is the autocorrelation of the levels plus that of
    the changes, which know no trend; the season is the shortest whose score is at least nine
    tenths of the best.

    Args:
        x: the series, (T,).

    Returns:
        The season; 1 where there is none.

    >>> t = np.arange(120)
    >>> find_season(np.sin(2 * np.pi * t / 12) + 0.05 * t), find_season(t * 1.0)
    (12, 1)
    """
    T = len(x)
    longest = min(T // 3, _LONGEST)
    if longest < 3 or np.ptp(x) == 0:
        return 1
    x = (x - x.min()) / np.ptp(x)  # whatever the unit
    t = np.arange(T)
    level = autocorrelation(x - np.polyval(np.polyfit(t, x, 1), t), longest)
    least = max(0.3, 3 / math.sqrt(T))
    peaks = [
        k
        for k in range(2, longest)
        if level[k] >= max(level[k - 1], level[k + 1])
        and level[k] > least
        and level[k] - level[1:k].min() > 0.2
    ]
    if not peaks:
        return 1
    score = level + autocorrelation(np.diff(x), longest)
    best = max(score[k] for k in peaks)
    return min(k for k in peaks if score[k] >= 0.9 * best)
