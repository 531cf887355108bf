"""elman.RNN and torch.nn.RNN: the same calls on two modules."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman.bench.cases import Case
from elman.bench.contestant import Contestant
from elman.bench.work import Work, new_layer
from elman.nn import RNN


class Layer(Contestant):
    """A module with torch.nn.RNN's parameters and calls."""

    module: ClassVar[type[nn.Module]]

    def __init__(self, work: Work) -> None:
        case = work.case
        self.input, self.cotangent = work.input, work.cotangent
        self.layer: Any = self.module(
            case.H_in, case.H, case.num_layers, bidirectional=case.bidirectional
        )
        self.layer.load_state_dict(work.weights)
        self.parameters = dict(self.layer.named_parameters())
        self.trained = list(self.parameters.values())

    @staticmethod
    def problem(case: Case) -> str | None:
        """All but steps one by one, for which there are the stream and the cell."""
        return "the case is a single step" if case.step else None

    def forward(self) -> Tensor:
        """Without gradients."""
        with torch.no_grad():
            return _data(self.layer(self.input)[0])

    def train(self) -> tuple[Tensor, ...]:
        """To the weights alone: the input wants no gradient."""
        return torch.autograd.grad(_data(self.layer(self.input)[0]), self.trained, self.cotangent)

    def output(self) -> np.ndarray:
        """As torch lays it out."""
        return self.forward().numpy()

    def gradients(self) -> dict[str, np.ndarray]:
        """In the order of the parameters."""
        return {n: g.numpy() for n, g in zip(self.parameters, self.train(), strict=True)}


class ElmanRNN(Layer):
    """elman.RNN on the backend that serves it by itself."""

    name, module = "elman", RNN


class TorchRNN(Layer):
    """torch.nn.RNN."""

    name, module = "torch", nn.RNN


def _data(output: Tensor | PackedSequence) -> Tensor:
    return output.data if isinstance(output, PackedSequence) else output


def truth(work: Work) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Output and gradients of torch.nn.RNN in float64 on the very same numbers."""
    layer = new_layer(work.case, torch.float64)
    layer.load_state_dict(work.weights)
    x = work.x.double()
    packed = x if work.batch_sizes is None else PackedSequence(x, work.batch_sizes)
    output = _data(layer(packed)[0])
    parameters = dict(layer.named_parameters())
    gradients = torch.autograd.grad(output, list(parameters.values()), work.cotangent.double())
    named = {n: g.numpy() for n, g in zip(parameters, gradients, strict=True)}
    return output.detach().numpy(), named
