"""The recurrent weights of a model, in float32 on the CPU, whatever class holds them.

`elman.RNN`, `torch.nn.RNN`, the cells of both and `ConcatRNN` compute one equation; here they are
one thing, so that all that follows need not ask which it is.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from elman.errors import SettingError
from elman.models import ConcatRNN
from elman.nn import RNN, RNNCell

_MODES = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}


@dataclass(frozen=True)
class Weights:
    """One direction of one layer.

    Attributes:
        layer: counted from 0.
        reverse: whether it reads from the end.
        weight_ih, weight_hh: (H, F) and (H, H).
        bias_ih, bias_hh: (H,); zeros where there are none.
    """

    layer: int
    reverse: bool
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor


@dataclass(frozen=True)
class Stack:
    """All layers and directions, from the bottom up, forward before reverse.

    Attributes:
        nonlinearity: f.
        parts: the weights.
        bias: whether the model has biases.
    """

    nonlinearity: str
    parts: list[Weights]
    bias: bool

    @property
    def directions(self) -> int:
        """D."""
        return 2 if self.parts[-1].reverse else 1

    @property
    def layers(self) -> int:
        """How many layers."""
        return len(self.parts) // self.directions

    @property
    def input_size(self) -> int:
        """F of the lowest layer."""
        return self.parts[0].weight_ih.shape[1]

    @property
    def hidden_size(self) -> int:
        """H."""
        return self.parts[0].weight_hh.shape[0]

    def step(self, part: Weights) -> RNN:
        """One direction of one layer as an `elman.RNN`, for a step at a time."""
        H, F = part.weight_ih.shape
        return _filled(RNN(F, H, nonlinearity=self.nonlinearity), [part])

    def layer(self, parts: list[Weights]) -> RNN:
        """All directions of one layer as an `elman.RNN`, for a sequence, (L, F)."""
        H, F = parts[0].weight_ih.shape
        rnn = RNN(F, H, nonlinearity=self.nonlinearity, bidirectional=len(parts) == 2)
        return _filled(rnn, parts)

    def whole(self) -> RNN:
        """All of it as one `elman.RNN`, for rows of sequences, (N, L, F)."""
        both = self.directions == 2
        rnn = RNN(
            self.input_size, self.hidden_size, self.layers, self.nonlinearity,
            batch_first=True, bidirectional=both,
        )  # fmt: skip
        return _filled(rnn, self.parts)


def _filled(rnn: RNN, parts: list[Weights]) -> RNN:
    """The layer with those weights in it, which are then constants."""
    tensors = [(p.weight_ih, p.weight_hh, p.bias_ih, p.bias_hh) for p in parts]
    for parameters, of_part in zip(rnn.all_weights, tensors, strict=True):
        for parameter, tensor in zip(parameters, of_part, strict=True):
            parameter.data = tensor
    return rnn.requires_grad_(False).eval()


def is_recurrent(model: object) -> bool:
    """Whether `stack_of` knows the class."""
    return isinstance(model, (RNN, nn.RNN, RNNCell, nn.RNNCell, ConcatRNN))


def stack_of(model: nn.Module) -> Stack:
    """The recurrent weights of a layer, a cell or a `ConcatRNN`.

    >>> stack = stack_of(nn.RNN(3, 4, num_layers=2, bidirectional=True))
    >>> stack.layers, stack.directions, stack.hidden_size
    (2, 2, 4)
    """
    if isinstance(model, ConcatRNN):
        return stack_of(model.to_rnn())
    if isinstance(model, (RNNCell, nn.RNNCell)):
        named = [model.weight_ih, model.weight_hh, model.bias_ih, model.bias_hh]
        part = _part(0, False, [w for w in named if w is not None])
        return Stack(model.nonlinearity, [part], model.bias_ih is not None)
    assert isinstance(model, (RNN, nn.RNN))
    nonlinearity = _nonlinearity(model)  # first: what is not plain may lack what is read below
    directions = 2 if model.bidirectional else 1
    # by name, since a parametrised weight is computed when it is asked for
    tensors = [[getattr(model, name) for name in names] for names in model._all_weights]
    parts = [_part(k // directions, k % directions == 1, of) for k, of in enumerate(tensors)]
    return Stack(nonlinearity, parts, bool(model.bias))


#: The nonlinearities that pages and diagnoses can work out.
PLAIN = ("tanh", "relu", "identity")


def beyond_plain(rnn: RNN) -> object:
    """What of a layer is more than f of a sum with such an f; None where nothing is."""
    if not rnn.plain_in_eval:
        return rnn.dynamics if rnn.wiring is None else rnn.wiring
    return None if rnn.nonlinearity in PLAIN else rnn.nonlinearity


def _nonlinearity(model: Any) -> str:
    """What the layer computes by, if it is a plain one.

    Raises:
        SettingError: a step of it is more than f of a sum, or f is none that the page knows.
    """
    if isinstance(model, RNN):
        beyond = beyond_plain(model)
        if beyond is not None and not model.plain_in_eval:
            raise SettingError(f"the page shows plain layers, got an RNN with {beyond}")
        if beyond is not None:
            raise SettingError(f"the page shows layers with {', '.join(PLAIN)}, got {beyond!r}")
        return str(model.nonlinearity)
    return _MODES[model.mode]  # what torch's own computes by


def _part(layer: int, reverse: bool, tensors: list[Tensor]) -> Weights:
    ih, hh, *biases = (plain(tensor) for tensor in tensors)
    biases = biases or [ih.new_zeros(ih.shape[0])] * 2
    return Weights(layer, reverse, ih, hh, biases[0], biases[1])


def plain(tensor: Tensor) -> Tensor:
    """A tensor as numbers alone: outside of autograd, float32, on the CPU."""
    return tensor.detach().float().cpu().contiguous()
