"""The recurrent layers of a model, in float32 on the CPU, whatever class holds them.

`elman.RNN`, `torch.nn.RNN`, the cells of both and `ConcatRNN` are one thing here, an `elman.RNN` in
eval mode with what the model holds in it, so that all that follows need not ask which it is.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elman.models import ConcatRNN
from elman.nn import RNN, RNNCell, Wiring
from elman.nn.dynamics import Call
from elman.nn.extended import first_states
from elman.nn.stack import merged, tensors_of
from elman.ops import Norm
from elman.view.functions import Function
from elman.view.steps import Step

_MODES = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}


@dataclass(frozen=True, eq=False)
class Weights:
    """One direction of one layer.

    Attributes:
        layer: counted from 0.
        reverse: whether it reads from the end.
        weight_ih, weight_hh: (H, F) and (H, H).
        bias_ih, bias_hh: (H,); zeros where there are none.
        step: what it does with the sums of them.
        g: how much of a new state is taken at each step, (H,); None for all of it.
    """

    layer: int
    reverse: bool
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor
    step: Step
    g: Tensor | None = None

    @property
    def units(self) -> int:
        """H."""
        return len(self.weight_hh)


@dataclass(frozen=True, eq=False)
class Stack:
    """All layers and directions, from the bottom up, forward before reverse.

    Attributes:
        rnn: the layers, in eval mode; their tensors are constants.
        parts: the weights.
        f: the nonlinearity.
    """

    rnn: RNN
    parts: list[Weights]
    f: Function

    @property
    def directions(self) -> int:
        """D."""
        return 2 if self.rnn.bidirectional else 1

    @property
    def layers(self) -> int:
        """How many layers."""
        return self.rnn.num_layers

    @property
    def input_size(self) -> int:
        """F of the lowest layer."""
        return self.rnn.input_size

    @property
    def biases(self) -> int:
        """How many biases a direction has: 0, 1 or 2."""
        return len(self.rnn._all_weights[0]) - 2

    def of_layer(self, layer: int) -> list[Weights]:
        """Its directions."""
        return self.parts[layer * self.directions : (layer + 1) * self.directions]

    def adds(self, layer: int) -> bool:
        """Whether its input is added to its output."""
        same = self.rnn.width_below(layer) == self.rnn.width_above(layer)
        return self.rnn.wiring_or_plain.residual and same

    def merges(self) -> bool:
        """Whether two directions become one."""
        return self.directions == 2 and self.rnn.wiring_or_plain.merge != "concat"

    def joined(self, layer: int, x: Tensor, states: Sequence[Tensor]) -> Tensor:
        """What a layer gives on, from what it read and the states of its directions, (..., ·)."""
        wiring = self.rnn.wiring_or_plain
        above = merged(torch.cat(list(states), -1), self.directions, wiring.merge)
        return x + above if self.adds(layer) else above

    def first(self) -> list[Tensor]:
        """Where each part begins by itself, (H,): at zero, or at what was learned."""
        states = first_states(self.rnn, None, self.parts[0].weight_ih, 1, False)
        return [direction[0].detach() for h in states for direction in h]

    def as_given(self, h_0: Sequence[Tensor]) -> Any:
        """The first states in the form in which a layer takes them for one sequence, as `hx`."""
        D = self.directions
        of_layers = [torch.stack(list(h_0[k : k + D])) for k in range(0, len(h_0), D)]
        return of_layers if len({h.shape[1] for h in of_layers}) > 1 else torch.cat(of_layers)

    def alone(self, parts: Sequence[Weights]) -> RNN:
        """A layer, or one direction of it, as an RNN of its own, for sequences (L, F)."""
        of, whole = parts[0], self.rnn
        D = self.directions
        named: dict[str, Tensor] = {}
        for part in parts:
            d = int(part.reverse) if D == 2 else 0
            suffix = f"_l{part.layer}" + ("_reverse" if d else "")
            to = "_l0" + ("_reverse" if len(parts) == 2 and d else "")
            names = whole._all_weights[part.layer * D + d]
            names = [*names, *whole.dynamics_or_plain.names(suffix)]
            named |= {n.removesuffix(suffix) + to: getattr(whole, n) for n in names}
        H, F = of.weight_ih.shape
        wiring = Wiring(one_bias=self.biases == 1, reverse=whole.wiring_or_plain.reverse)
        options = {
            "bias": self.biases > 0,
            "bidirectional": len(parts) == 2,
            "dynamics": whole.dynamics,
            "wiring": None if wiring == Wiring() else wiring,
        }
        return _filled(named, whole.nonlinearity, F, H, **options)


def _filled(tensors: dict[str, Tensor], f: Any, *sizes: int, **options: Any) -> RNN:
    """An RNN with those tensors in it, which are then constants."""
    rnn = nn.utils.skip_init(RNN, *sizes, device="cpu", **options)  # draws no random numbers
    rnn.nonlinearity = f
    for name, tensor in tensors.items():
        getattr(rnn, name).data = tensor
    return rnn.requires_grad_(False).eval()


def is_recurrent(model: object) -> bool:
    """Whether `stack_of` knows the class."""
    return isinstance(model, (RNN, nn.RNN, RNNCell, nn.RNNCell, ConcatRNN))


def stack_of(model: nn.Module) -> Stack:
    """The recurrent layers of a layer, a cell or a `ConcatRNN`.

    >>> stack = stack_of(nn.RNN(3, 4, num_layers=2, bidirectional=True))
    >>> stack.layers, stack.directions, [part.units for part in stack.parts]
    (2, 2, [4, 4, 4, 4])
    """
    if isinstance(model, ConcatRNN):
        return stack_of(model.to_rnn())
    if isinstance(model, (RNNCell, nn.RNNCell)):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        held = {f"{name}_l0": getattr(model, name) for name in names}
        tensors = {name: plain(tensor) for name, tensor in held.items() if tensor is not None}
        sizes = model.input_size, model.hidden_size
        return _of_rnn(_filled(tensors, model.nonlinearity, *sizes, bias=len(tensors) == 4))
    assert isinstance(model, (RNN, nn.RNN))
    own = isinstance(model, RNN)
    options: dict[str, Any] = {"bias": bool(model.bias), "bidirectional": model.bidirectional}
    if isinstance(model, RNN):
        options |= {"dynamics": model.dynamics, "wiring": model.wiring}
        held = tensors_of(model)
        if model.wiring_or_plain.learn_h_0:
            held |= {f"h_0_l{k}": getattr(model, f"h_0_l{k}") for k in range(model.num_layers)}
    else:  # by name, since a parametrised weight is computed when it is asked for
        held = {name: getattr(model, name) for names in model._all_weights for name in names}
    f: Any = model.nonlinearity if own else _MODES[model.mode]  # what torch's own computes by
    if isinstance(f, nn.Module):
        f = copy.deepcopy(f).to("cpu", torch.float32)
    tensors = {name: plain(tensor) for name, tensor in held.items()}
    layers = model.num_layers
    return _of_rnn(_filled(tensors, f, model.input_size, model.hidden_size, layers, **options))


def _of_rnn(rnn: RNN) -> Stack:
    f, D = Function(rnn.nonlinearity), 2 if rnn.bidirectional else 1
    dynamics, tensors, parts = rnn.dynamics_or_plain, tensors_of(rnn), []
    for k, names in enumerate(rnn._all_weights):
        ih, hh, *biases = (tensors[name].detach() for name in names)
        biases += [ih.new_zeros(len(hh))] * (2 - len(biases))
        layer, reverse = k // D, k % D == 1 or rnn.wiring_or_plain.reverse
        suffix = f"_l{layer}" + ("_reverse" if k % D else "")
        call = Call(len(hh), None, None, None)
        g = dynamics.gates(tensors, suffix, ih[None], call, training=False).g
        g = None if g is None else g.detach().expand(1, 1, len(hh))[0, 0]
        norm = None
        if dynamics.layer_norm:
            weight, bias = (tensors[f"norm_{of}{suffix}"].detach() for of in ("weight", "bias"))
            norm = Norm(weight, bias)
        step = Step(f, dynamics.clip, norm)
        parts.append(Weights(layer, reverse, ih, hh, biases[0], biases[1], step, g))
    return Stack(rnn, parts, f)


def plain(tensor: Tensor) -> Tensor:
    """A tensor as numbers alone: outside of autograd, float32, on the CPU."""
    return tensor.detach().float().cpu().contiguous()
