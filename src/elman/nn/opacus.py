"""The layer as Opacus reads it: per-sample gradients of `RNN` in a GradSampleModule.

Opacus asks each module with parameters for its first argument and its first result, and runs
`vmap` over their rows. An RNN has two of each. So where Opacus has put its hooks, what they see
of a layer is one tensor in and one out, and the layer's caller sees what it always saw. Packed
and unbatched input and, while training, dropout between layers are refused: their rows cannot be
told apart. RNNCell needs nothing.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from elman.nn.rnn import RNN


def read_by(layer: RNN, hook: Callable[..., Any]) -> None:
    """Make the layer one that Opacus, whose backward hook this is, reads right.

    In place, as `convert`: the same object, parameters and `state_dict`; only its class changes.
    """
    if type(layer) not in (RNN, OneTensorRNN):
        raise TypeError(
            f"Opacus reads an elman.RNN, got {type(layer).__name__}, a class made of it: hold the "
            "RNN in a module instead of inheriting from it"
        )
    from opacus.grad_sample.functorch import prepare_layer

    layer.__class__ = OneTensorRNN
    layer._rows_first = hook.keywords.get("batch_first", True)  # type: ignore[attr-defined]
    prepare_layer(layer, batch_first=layer._rows_first)  # it has copied the layer as it was


def restore(model: nn.Module) -> int:
    """Undo what Opacus's hooks made of every layer in `model`; returns how many there were.

    After `GradSampleModule.to_standard_module`, for a layer that reads packed input again.

    >>> restore(nn.Sequential(RNN(3, 4)))
    0
    """
    found: list[Any] = [module for module in model.modules() if type(module) is OneTensorRNN]
    for module in found:
        module.__class__ = RNN
        del module._rows_first
    return len(found)


class OneTensorRNN(RNN):
    """An RNN whose hooks see one tensor in, x and h_0, and one out, output and h_n.

    Each is (N, 1, 1, F), or (1, N, 1, F) where the model's batch is not first: a row holds the
    F numbers of one sample. Only Opacus calls it with such a tensor, a row at a time.
    """

    _rows_first: bool

    def __call__(self, input: Tensor, hx: Tensor | None = None) -> Any:  # noqa: A002 - torch's name
        """As `RNN`; with a tensor of rows also, which Opacus has from the hooks."""
        if not isinstance(input, Tensor):
            raise TypeError(
                f"a layer that Opacus reads takes tensors, got {type(input).__name__}: the rows "
                "of packed input cannot be told apart; pad it, or call elman.nn.opacus.restore"
            )
        if input.dim() == 4 and hx is None:
            if input.shape[:2] != (1, 1):
                raise ValueError(
                    f"a layer that Opacus reads takes a batch, 3-D, got {tuple(input.shape)}"
                )
            return super().__call__(input)
        if input.dim() != 3:
            raise ValueError(f"a layer that Opacus reads takes a batch, 3-D, got {input.dim()}-D")
        N, L = input.shape[:2] if self.batch_first else input.shape[1::-1]
        S, H, D = len(self._all_weights), self.hidden_size, self._num_directions
        if hx is None:
            hx = input.new_zeros(S, N, H)
        self._check_hidden(hx, input, N)
        x = input if self.batch_first else input.transpose(0, 1)
        rows = torch.cat([x.reshape(N, -1), hx.transpose(0, 1).reshape(N, -1)], 1)
        results = super().__call__(self._spread(rows)).flatten(0, 2)
        output, h_n = results.split([L * D * H, S * H], 1)
        output = output.view(N, L, D * H)
        h_n = h_n.view(N, S, H).transpose(0, 1)
        return (output if self.batch_first else output.transpose(0, 1)), h_n

    def forward(self, input: Tensor) -> Tensor:  # type: ignore[override] # noqa: A002
        """From rows of x and h_0 to rows of output and h_n."""
        rows = input.flatten(0, 2)
        N, S, H = len(rows), len(self._all_weights), self.hidden_size
        x, h_0 = rows.split([rows.shape[1] - S * H, S * H], 1)
        L = x.shape[1] // self.input_size
        output, h_n = self._run(
            x.view(N, L, self.input_size).transpose(0, 1), h_0.view(N, S, H).transpose(0, 1)
        )
        both = [output.transpose(0, 1).reshape(N, -1), h_n.transpose(0, 1).reshape(N, -1)]
        return self._spread(torch.cat(both, 1))

    def _spread(self, rows: Tensor) -> Tensor:
        return rows[:, None, None] if self._rows_first else rows[None, :, None]
