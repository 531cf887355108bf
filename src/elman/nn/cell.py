"""One step of the layer: `RNNCell`, in the place of torch.nn.RNNCell."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.ops.activations import NONLINEARITIES


class RNNCell(nn.Module):
    r"""One step of an Elman RNN: torch.nn.RNNCell's arguments, parameters, shapes and numbers.

        h' = f(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)

    Args:
        input_size: H_in, features of x.
        hidden_size: H_out, units of the hidden state h.
        bias: whether b_ih and b_hh are there. Default: True.
        nonlinearity: f, "tanh", "relu" or "identity" (the last is not in torch.nn.RNNCell).
            Default: "tanh".
        device, dtype: of the parameters.

    Call with:
        input: x, (N, H_in) or (H_in,).
        hx: h, (N, H_out) or (H_out,). Default: zeros.

    Returns:
        h', (N, H_out) or (H_out,).

    Raises:
        ValueError: input or hx is of the wrong rank.
        RuntimeError: sizes or dtypes do not fit, or the nonlinearity is unknown, which
            torch.nn.RNNCell too tells on the first call.

    Attributes:
        weight_ih, weight_hh: (H_out, H_in) and (H_out, H_out).
        bias_ih, bias_hh: (H_out,), or None. All begin uniform in ±1/√H_out.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html

    >>> cell = RNNCell(10, 20)
    >>> cell(torch.randn(3, 10), torch.zeros(3, 20)).shape
    torch.Size([3, 20])
    """

    bias_ih: nn.Parameter | None
    bias_hh: nn.Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        self.nonlinearity = nonlinearity

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

        self.weight_ih = parameter(hidden_size, input_size)
        self.weight_hh = parameter(hidden_size, hidden_size)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, parameter(hidden_size) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter anew, uniform in ±1/√hidden_size."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """The arguments that differ from the defaults, as torch.nn.RNNCell prints them."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.bias is not True:
            parts.append(f"bias={self.bias}")
        if self.nonlinearity != "tanh":
            parts.append(f"nonlinearity={self.nonlinearity}")
        return ", ".join(parts)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's name
        """The next state; shapes under the class."""
        for name, x in (("input", input), ("hx", hx)):
            if x is not None and x.dim() not in (1, 2):
                raise ValueError(f"RNNCell: {name} should be 1-D or 2-D, got {x.dim()}-D")
        self._check(input, hx)
        f = NONLINEARITIES.get(str(self.nonlinearity))
        if f is None:
            known = ", ".join(map(repr, NONLINEARITIES))
            raise RuntimeError(f"nonlinearity should be one of {known}, got {self.nonlinearity!r}")
        if hx is None:
            hx = input.new_zeros(*input.shape[:-1], self.hidden_size)
        z = functional.linear(input, self.weight_ih, self.bias_ih)
        return f(z + functional.linear(hx, self.weight_hh, self.bias_hh))

    def _check(self, x: Tensor, hx: Tensor | None) -> None:
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                f"RNNCell: the last dimension of input should be input_size, {self.input_size}, "
                f"got {x.shape[-1]}"
            )
        if hx is None:
            return
        expected = (*x.shape[:-1], self.hidden_size)
        if tuple(hx.shape) != expected:
            raise RuntimeError(f"RNNCell: hx should be {expected}, got {tuple(hx.shape)}")
