"""Where the recurrent weights of a model are, and how to set one that is parametrised."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from elman.nn.cell import RNNCell
from elman.nn.rnn import RNN


class Place(NamedTuple):
    """One layer and direction: the module, and what stands behind its parameters' names."""

    module: RNN | RNNCell
    suffix: str

    @property
    def weight(self) -> str:
        """The name of W_hh."""
        return f"weight_hh{self.suffix}"


def places(module: nn.Module) -> list[Place]:
    """Every layer and direction in `module`, itself included.

    Raises:
        ValueError: there is none.

    >>> [place.weight for place in places(nn.Sequential(RNN(3, 4, num_layers=2)))]
    ['weight_hh_l0', 'weight_hh_l1']
    """
    found = []
    for layer in module.modules():
        if isinstance(layer, RNNCell):
            found.append(Place(layer, ""))
        elif isinstance(layer, RNN):
            suffixes = ("", "_reverse") if layer.bidirectional else ("",)
            found += [
                Place(layer, f"_l{k}{suffix}")
                for k in range(layer.num_layers)
                for suffix in suffixes
            ]
    if not found:
        raise ValueError(
            "expected an elman.RNN, an elman.RNNCell or a module that holds one, got "
            f"{type(module).__name__}; elman.convert makes one of a torch.nn.RNN"
        )
    return found


def read(module: nn.Module, name: str) -> Tensor:
    """The weight as it is used in eval(), detached."""
    with torch.no_grad():
        if not parametrize.is_parametrized(module, name):
            plain: Tensor = getattr(module, name)
            return plain.detach()
        assert isinstance(module.parametrizations, nn.ModuleDict)
        modes = {m: m.training for m in module.parametrizations[name].modules()}
        try:
            module.parametrizations[name].eval()
            computed: Tensor = getattr(module, name)
            return computed.clone()
        finally:
            for part, training in modes.items():
                part.training = training


def write(module: nn.Module, name: str, value: Tensor) -> None:
    """Set the weight; one that is parametrised to what comes nearest to `value`."""
    with torch.no_grad():
        if parametrize.is_parametrized(module, name):
            setattr(module, name, value)
        else:
            getattr(module, name).copy_(value)
