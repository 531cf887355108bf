"""Learning to forecast: the series in the order of time, the state carried from chunk to chunk."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.data.chunks import chunk_bounds, stream_count
from elman.errors import DataError
from elman.models import SequenceRegressor, init_recurrent
from elman.tasks.devices import device_of
from elman.tasks.forecast.frame import Frame, input_size
from elman.tasks.settings import ForecasterSettings
from elman.train import Lesson
from elman.train.processes import share

_WARM_UP = 500  # rows read before those that stop the training, to have a state for them
_SHORTEST = 4  # a chunk of fewer rows is not worth a step
_CHUNKS = 8  # a stream has at least so many


def new_network(settings: ForecasterSettings, seasons: list[int]) -> SequenceRegressor:
    """A network that begins by adding nothing to the naive forecast."""
    model = SequenceRegressor(
        input_size(settings.horizon, seasons),
        settings.hidden_size,
        settings.horizon * len(seasons),
        num_layers=settings.num_layers,
        nonlinearity=settings.nonlinearity,
        dynamics=settings.dynamics(),
        dropout=settings.dropout,
    ).float()
    init_recurrent(model.rnn, settings.init)
    if not model.linear.weight.is_meta:
        nn.init.zeros_(model.linear.weight)
        nn.init.zeros_(model.linear.bias)
    return model


class ForecasterLesson(Lesson):
    """Rows to learn from, and the last of them to stop by."""

    model: SequenceRegressor

    def __init__(
        self,
        model: SequenceRegressor,
        settings: ForecasterSettings,
        frame: Frame,
        y: np.ndarray,
        fitted: int,
        device: torch.device,
    ) -> None:
        """Take the series `y` (T, C); the first `fitted` rows teach, the others stop."""
        super().__init__(model)
        self.settings, self.device, self.fitted = settings, device, fitted
        T, width = len(y), settings.horizon * y.shape[1]
        self.x = torch.from_numpy(frame.inputs(y)).to(device)  # (T, F)
        wanted = np.nan_to_num(frame.targets(y)).reshape(T, width)
        self.wanted = torch.from_numpy(wanted.astype(np.float32)).to(device)  # (T, H·C)
        ends = np.arange(T)[:, None] + np.arange(1, settings.horizon + 1)[None]  # (T, H)
        teach, stop = ends < fitted, (ends < T) & (np.arange(T)[:, None] >= fitted - 1)
        self.teach, self.stop = (
            torch.from_numpy(np.repeat(known, y.shape[1], axis=1)).to(device)
            for known in (teach, stop)
        )
        self.count = stream_count(fitted, settings.batch_size, settings.chunk, _CHUNKS)

    def batches(self, rng: np.random.Generator) -> list[Tensor]:
        """Row numbers (N, L) of each chunk of this epoch's streams."""
        per = self.fitted // self.count
        start = int(rng.integers(0, max(1, min(self.settings.chunk, per // 2))))
        per = (self.fitted - start) // self.count
        rows = torch.arange(self.count * per).view(self.count, per) + start
        chunks = [rows[:, a:b] for a, b in chunk_bounds(per, self.settings.chunk)]
        return [
            chunk
            for k, chunk in enumerate(chunks)
            if self.teach[chunk].any() and (k == 0 or chunk.shape[1] >= _SHORTEST)
        ]

    def loss(self, network: nn.Module, batch: Tensor) -> tuple[Tensor, int]:
        """Huber's loss over all that is known at each row of the steps to come."""
        mine, weight = share(np.arange(self.count))
        rows = batch[mine]
        said, state = network(self.x[rows], self.carried.get("state"))  # (N, L, H·C)
        self.carried = {"state": state.detach()}
        known = self.teach[rows]
        total = functional.huber_loss(said[known], self.wanted[rows][known], reduction="sum")
        return total * weight, int(known.sum()) * weight

    def validate(self) -> dict[str, float]:
        """Huber's loss on the rows that stop; 1 is about the error of the naive forecast."""
        first = max(0, self.fitted - 1 - _WARM_UP)
        said, _ = self.model(self.x[None, first:])
        known = self.stop[first:]
        loss = functional.huber_loss(said[0][known], self.wanted[first:][known])
        error = (said[0][known] - self.wanted[first:][known]).abs().mean()
        return {"valid_loss": float(loss), "valid_error_to_naive": float(error)}


def loss_over(model: nn.Module, frame: Frame, y: np.ndarray) -> Tensor:
    """Huber's loss over all that is known at each row of the steps to come, to differentiate.

    Raises:
        DataError: the series has but one row.
    """
    if len(y) < 2:
        raise DataError(f"the series has {len(y)} rows; at least 2 are needed")
    device = device_of(model)
    said, _ = model(torch.from_numpy(frame.inputs(y)).to(device)[None])
    wanted = frame.targets(y).reshape(len(y), -1)
    known = torch.from_numpy(~np.isnan(wanted)).to(device)
    targets = torch.from_numpy(np.nan_to_num(wanted).astype(np.float32)).to(device)
    return functional.huber_loss(said[0][known], targets[known])
