"""The layer as Opacus reads it: per-sample gradients of `RNN` in a GradSampleModule.

Opacus asks each module with parameters for its first argument and its first result, and runs
`vmap` over their rows. An RNN has two of each. So while a model is prepared, what hooks see
of a layer is one tensor in and one out, and the layer's caller sees what it always saw.
Opacus itself is not imported.
"""

from typing import Any

import torch
from torch import Tensor, nn

from elman.nn.rnn import RNN


def prepare(model: nn.Module, batch_first: bool = True) -> int:
    """Make every elman.RNN inside `model`, or `model` itself, fit for Opacus.

    In place, as `convert`: the same objects, parameters and `state_dict`; only their class
    changes. Call it before `opacus.GradSampleModule` or `PrivacyEngine.make_private`; for
    torch.nn.RNN call `elman.convert` first. RNNCell needs nothing. Packed and unbatched input
    and, while training, dropout between layers are refused: their rows cannot be told apart.

    Args:
        model: any module.
        batch_first: what GradSampleModule is told of the whole model. Default: True, as there.

    Returns:
        How many layers were changed.

    >>> model = nn.Sequential(RNN(3, 4, batch_first=True))
    >>> prepare(model)
    1
    >>> model[0](torch.zeros(2, 5, 3))[0].shape
    torch.Size([2, 5, 4])
    """
    found: list[Any] = [module for module in model.modules() if type(module) is RNN]
    for module in found:
        module.__class__ = OneTensorRNN
        module._rows_first = batch_first
    return len(found)


def restore(model: nn.Module) -> int:
    """Undo `prepare`; returns how many layers were changed."""
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
                f"a layer prepared for Opacus reads tensors, got {type(input).__name__}: the "
                "rows of packed input cannot be told apart; pad it, or call restore(model)"
            )
        if input.dim() == 4 and hx is None:
            if input.shape[:2] != (1, 1):
                first = not self._rows_first
                raise ValueError(
                    "GradSampleModule and prepare should be told the same batch_first; here "
                    f"prepare(model, batch_first={first}) is wanted"
                )
            return super().__call__(input)
        if input.dim() != 3:
            raise ValueError(f"a layer prepared for Opacus reads a batch, 3-D, got {input.dim()}-D")
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
