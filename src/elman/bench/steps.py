"""One step at a time: elman.nn.Stream against torch.nn.RNNCell."""

import importlib
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.bench.cases import Case
from elman.bench.contestant import Contestant
from elman.bench.work import Work
from elman.nn import RNN


class Steps(Contestant):
    """What is fed step by step and keeps its state; forward only."""

    can_train = False

    def __init__(self, work: Work) -> None:
        self.xs = list(work.x.unbind(0))  # L of (N, H_in)
        self.weights = work.weights
        self.case = work.case
        self._begin()

    @staticmethod
    def problem(case: Case) -> str | None:
        """Single steps only."""
        return None if case.step else "the case is a whole sequence"

    @abstractmethod
    def _begin(self) -> None:
        """Stand before the first step."""

    @abstractmethod
    def _step(self, x: Tensor) -> Tensor:
        """(N, H_in) to (N, H)."""

    def forward(self) -> Tensor:
        """One more step, always on the same input."""
        return self._step(self.xs[0])

    def train(self) -> Any:
        """There is none."""
        raise NotImplementedError

    def output(self) -> np.ndarray:
        """All L steps from the beginning, (L, N, H)."""
        self._begin()
        with torch.no_grad():
            return np.stack([self._step(x).numpy().copy() for x in self.xs])

    def gradients(self) -> dict[str, np.ndarray]:
        """None."""
        return {}


class ElmanStream(Steps):
    """elman.nn.Stream over an elman.RNN."""

    name = "elman"

    def _begin(self) -> None:
        rnn = RNN(self.case.H_in, self.case.H)
        rnn.load_state_dict(self.weights)
        self.stream: Any = importlib.import_module("elman.nn").Stream(rnn, batch=self.case.N)

    def _step(self, x: Tensor) -> Tensor:
        return self.stream.step(x)


class TorchCell(Steps):
    """torch.nn.RNNCell, its state handed back to it."""

    name = "torch"

    def _begin(self) -> None:
        self.cell = nn.RNNCell(self.case.H_in, self.case.H)
        bare = {name.removesuffix("_l0"): weight for name, weight in self.weights.items()}
        self.cell.load_state_dict(bare)
        self.h = torch.zeros(self.case.N, self.case.H)

    def _step(self, x: Tensor) -> Tensor:
        self.h = self.cell(x, self.h)
        return self.h
