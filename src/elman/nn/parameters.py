"""The parameters of an `RNN`: their names and shapes, and where they begin."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from elman.nn.rnn import RNN


def create(rnn: "RNN", device: Any, dtype: torch.dtype | None) -> None:
    """Register them, without numbers yet, in torch's order; and their names in `_all_weights`."""
    for layer, H in enumerate(rnn.hidden_sizes):
        for suffix in (f"_l{layer}", f"_l{layer}_reverse")[: rnn._num_directions]:
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (H, rnn.width_below(layer)),
                "weight_hh": (H, H),
            }
            if rnn.bias:
                shapes["bias_ih"] = (H,)
            if rnn.bias and not rnn.wiring_or_plain.one_bias:
                shapes["bias_hh"] = (H,)
            for name, shape in shapes.items():
                parameter = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                rnn.register_parameter(name + suffix, parameter)
            rnn._all_weights.append([name + suffix for name in shapes])
            if rnn.dynamics is not None:
                rnn.dynamics.create(rnn, suffix, H, device, dtype)
        if rnn.wiring_or_plain.learn_h_0:
            h_0 = torch.empty(rnn._num_directions, H, device=device, dtype=dtype)
            rnn.register_parameter(f"h_0_l{layer}", nn.Parameter(h_0))


def reset(rnn: "RNN") -> None:
    """Draw every weight and bias anew, uniform in ±1/√H_out; the others go to where they begin."""
    sizes = [H for H in rnn.hidden_sizes for _ in range(rnn._num_directions)]
    for H, names in zip(sizes, rnn._all_weights, strict=True):
        bound = 1.0 / math.sqrt(H)
        for name in names:
            nn.init.uniform_(getattr(rnn, name), -bound, bound)
        if rnn.dynamics is not None:
            rnn.dynamics.reset(rnn, names[0].removeprefix("weight_ih"))
    if rnn.wiring_or_plain.learn_h_0:
        for k in range(rnn.num_layers):
            nn.init.zeros_(getattr(rnn, f"h_0_l{k}"))


def read(rnn: "RNN", names: list[str]) -> list[nn.Parameter]:
    """Those of these names: at once, unless they are parametrised or were taken out by hand."""
    own = rnn._parameters
    return [own[name] if name in own else getattr(rnn, name) for name in names]  # type: ignore[misc]
