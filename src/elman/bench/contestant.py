"""What is timed: one implementation of the layer, on one case."""

from abc import ABC, abstractmethod
from importlib import metadata
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from elman.bench.cases import Case
from elman.bench.work import Work


class Contestant(ABC):
    """elman or a rival, set up for a case outside the clock.

    Attributes:
        name: in the CSV: "elman", "torch", "jax" or "onnxruntime".
        can_train: whether it has a backward pass. Default: True.
    """

    name: ClassVar[str]
    can_train: ClassVar[bool] = True

    @abstractmethod
    def __init__(self, work: Work) -> None:
        """Build it from the weights and the input of `work`."""

    @staticmethod
    @abstractmethod
    def problem(case: Case) -> str | None:
        """None where it can take part, otherwise why not, in words."""

    @abstractmethod
    def forward(self) -> Any:
        """Once over the input, for the clock: the output, computed to the end."""

    @abstractmethod
    def train(self) -> Any:
        """Forward, and backward to all weights from the cotangent, for the clock."""

    @abstractmethod
    def output(self) -> np.ndarray:
        """What `forward` gives, for the gate: (L, N, D·H) or (rows, D·H)."""

    @abstractmethod
    def gradients(self) -> dict[str, np.ndarray]:
        """What `train` gives, for the gate: by torch.nn.RNN's names; {} if it cannot."""


def version_of(package: str) -> str:
    """The version that is installed; "" if none is."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def not_installed(*packages: str) -> str | None:
    """Why a rival cannot take part, if one of its packages is not there."""
    for package in packages:
        if find_spec(package) is None:
            return f"{package} is not installed; pip install 'elman[bench]'"
    return None
