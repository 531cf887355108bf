"""Forecasts as the values come in, one row at a time, the state carried on."""

from collections import deque

import numpy as np
import torch
from torch import Tensor, nn

from elman.errors import DataError
from elman.tasks.devices import device_of
from elman.tasks.forecast.frame import Frame


class Live:
    """Reads a series row by row; see `Forecaster.live`."""

    def __init__(self, model: nn.Module, frame: Frame) -> None:
        self._model, self._frame = model, frame
        self.reset()

    def reset(self) -> None:
        """Forget the series; the next row is the first of another."""
        self._state: Tensor | None = None
        self._rows: deque[np.ndarray] = deque(maxlen=self._frame.memory + 1)

    def step(self, values: np.ndarray) -> np.ndarray:
        """Take one row, (C,), and say what the next H will be, (H, C).

        Raises:
            DataError: it is no such row; nothing is taken.
        """
        try:
            row = np.asarray(values, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise self._refusal(values) from None
        if len(row) != self._frame.columns or not np.isfinite(row).all():
            raise self._refusal(row.tolist())
        self._rows.append(row)
        y = np.stack(self._rows)
        device = device_of(self._model)
        with torch.inference_mode():
            x = torch.from_numpy(self._frame.inputs(y)[None, -1:]).to(device)
            said, self._state = self._model(x, self._state)
        whole = np.zeros((len(y), said.shape[2]))
        whole[-1] = said[0, 0].double().cpu().numpy()
        return self._frame.forecasts(y, whole)[-1]

    def _refusal(self, values: object) -> DataError:
        wanted = f"{self._frame.columns} finite numbers"
        return DataError(f"values should be {wanted}, got {values!r:.60}")
