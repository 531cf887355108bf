"""What stands around the network of a forecaster: its inputs, its anchor, its scales.

The network reads changes, not levels, so that a trend leads it nowhere new, and says what to add
to a naive forecast, so that before it has learned anything it is as good as that one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.tasks.forecast.naive import followed, naive, seasonal_naive
from elman.tasks.forecast.season import find_season

_FAR = 1e30  # float32 can still reckon with this many scales


@dataclass(frozen=True)
class Frame:
    """Fitted to the rows that are learned from.

    Attributes:
        horizon: H.
        seasons: m of each column, 1 for none.
        seasonal: whether the anchor is the seasonal-naive forecast, else the naive, (H, C).
        scale: mean absolute error of the anchor on the rows fitted, (H, C).
        input_scale: spread of each input, (F,).
    """

    horizon: int
    seasons: list[int]
    seasonal: np.ndarray
    scale: np.ndarray
    input_scale: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, horizon: int, season: int | None) -> "Frame":
        """Fitted to a series (T, C).

        Args:
            y: the rows to learn from.
            horizon: H.
            season: m of every column; None to find it.
        """
        seasons = [find_season(column) if season is None else season for column in y.T]
        tiny = 1e-9 * np.abs(y).max(0)  # (C,), what rounding alone may leave
        first = max(seasons) if max(seasons) > 1 else 0
        came = followed(y, horizon)
        errors = np.abs(came - naive(y, horizon))
        seasonal_errors = np.abs(came - seasonal_naive(y, horizon, seasons))
        rows = slice(first, len(y) - horizon)
        seasonal = seasonal_errors[rows].mean(0) < 0.999 * errors[rows].mean(0)
        scale = np.where(seasonal, seasonal_errors[rows].mean(0), errors[rows].mean(0))
        inputs = _inputs(y, horizon, seasons)
        spread = np.concatenate(
            [
                np.full(part.shape[1], _or_one(part[first:].std(), tiny[column]))
                * part.shape[1] ** 0.5
                for column, part in inputs
            ]
        )
        return cls(horizon, seasons, seasonal, _or_one(scale, tiny), spread)

    @property
    def columns(self) -> int:
        """C."""
        return len(self.seasons)

    @property
    def memory(self) -> int:
        """How many rows before the last the inputs and the anchor look back to."""
        return max(self.seasons) if max(self.seasons) > 1 else 1

    def inputs(self, y: np.ndarray) -> np.ndarray:
        """What the network reads at each row, float32 (T, F)."""
        parts = [part for _, part in _inputs(y, self.horizon, self.seasons)]
        scaled = np.concatenate(parts, axis=1) / self.input_scale
        return np.clip(scaled, -_FAR, _FAR).astype(np.float32)

    def anchor(self, y: np.ndarray) -> np.ndarray:
        """The better of the two naive forecasts, for each step ahead and column, (T, H, C)."""
        seasonal = seasonal_naive(y, self.horizon, self.seasons)
        return np.where(self.seasonal, seasonal, naive(y, self.horizon))

    def targets(self, y: np.ndarray) -> np.ndarray:
        """What the network should say, (T, H, C); NaN beyond the end."""
        return (followed(y, self.horizon) - self.anchor(y)) / self.scale

    def forecasts(self, y: np.ndarray, said: np.ndarray) -> np.ndarray:
        """Forecasts (T, H, C) from what the network says, (T, H·C)."""
        return self.anchor(y) + said.reshape(len(y), self.horizon, self.columns) * self.scale

    def as_dict(self) -> dict[str, Any]:
        """For scaling.json."""
        return {
            "seasons": self.seasons,
            "seasonal": self.seasonal.tolist(),
            "scale": self.scale.tolist(),
            "input_scale": self.input_scale.tolist(),
        }

    @classmethod
    def from_dict(cls, raw: Any, horizon: int, columns: int) -> "Frame":
        """As it was saved.

        Raises:
            ValueError: it was not saved like this.
        """
        try:
            seasons = raw["seasons"]
            seasonal = np.array(raw["seasonal"])
            scale = np.array(raw["scale"], dtype=np.float64)
            spread = np.array(raw["input_scale"], dtype=np.float64)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError):
            raise ValueError("it should hold seasons, seasonal, scale and input_scale") from None
        whole = isinstance(seasons, list) and all(type(m) is int and m >= 1 for m in seasons)
        if not whole or len(seasons) != columns or max(seasons) > 1_000_000:
            raise ValueError(f"seasons should be {columns} whole numbers from 1 on")
        if seasonal.shape != (horizon, columns) or seasonal.dtype != np.bool_:
            raise ValueError(f"seasonal should be ({horizon}, {columns}) of true and false")
        sizes = _sizes(horizon, seasons)
        if scale.shape != (horizon, columns) or spread.shape != (sum(sizes),):
            raise ValueError("scale or input_scale has another shape than the settings ask for")
        if not (np.isfinite(scale).all() and np.isfinite(spread).all()):
            raise ValueError("a scale is not finite")
        if (scale <= 0).any() or (spread <= 0).any():
            raise ValueError("a scale is not above 0")
        return cls(horizon, seasons, seasonal, scale, spread)


def input_size(horizon: int, seasons: list[int]) -> int:
    """F, how many numbers the network reads at each row."""
    return sum(_sizes(horizon, seasons))


def _sizes(horizon: int, seasons: list[int]) -> list[int]:
    sizes = [1] * len(seasons)
    for m in seasons:
        if m > 1:
            sizes += [1, min(horizon, m)]
    return sizes


def _inputs(y: np.ndarray, horizon: int, seasons: list[int]) -> list[tuple[int, np.ndarray]]:
    """The last change of each column; with a season, the change against the season before, and
    what the season before did next; each with the number of its column.
    """
    change = np.zeros_like(y)
    change[1:] = np.diff(y, axis=0)
    parts = [(column, change[:, [column]]) for column in range(y.shape[1])]
    ahead = seasonal_naive(y, horizon, seasons) - y[:, None]
    for column, m in enumerate(seasons):
        if m > 1:
            since = np.zeros((len(y), 1))
            since[m:, 0] = y[m:, column] - y[:-m, column]
            then = ahead[:, :m, column].copy()
            then[:m] = 0
            parts += [(column, since), (column, then)]
    return parts


def _or_one(spread: np.ndarray, tiny: np.ndarray) -> np.ndarray:
    return np.where(spread > tiny, spread, 1.0)
