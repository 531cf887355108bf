"""Padded rows whose lengths are on the GPU: its kernel reads them, and the host never does."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from elman.nn.lengths import assert_within, check_shape
from elman.ops.composed import on_one_gpu
from elman.ops.layer import layer_with_lengths
from elman.ops.layout import live

if TYPE_CHECKING:
    from elman.nn.rnn import RNN


def serves(rnn: "RNN", x: Tensor, hx: Tensor | None) -> bool:
    """Whether that kernel serves this call of a plain layer."""
    if not isinstance(rnn.nonlinearity, str) or torch.compiler.is_compiling():
        return False
    tensors = (x, *rnn.parameters()) if hx is None else (x, hx, *rnn.parameters())
    return on_one_gpu(tensors, rnn.hidden_size, may_cast=True)


def forward(rnn: "RNN", x: Tensor, hx: Tensor | None, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """As `rnn(x, hx, lengths=lengths)`.

    A length that is not from 0 to L ends what the GPU does, with a sentence: to raise a ValueError
    the host would have to wait for it.

    Raises:
        ValueError: the lengths are not N integers, or not where x is.
    """
    L, N = x.shape[:2][:: -1 if rnn.batch_first else 1]
    check_shape(lengths, N)
    if lengths.device != x.device:
        raise ValueError(f"lengths should be on {x.device}, as the input, got {lengths.device}")
    assert_within(lengths, L)
    ends = lengths.to(torch.int32).clamp(0, L)

    def run(x: Any, h_0: Any, weights: Any, nonlinearity: Any, _: None) -> Any:
        return layer_with_lengths(x, h_0, weights, nonlinearity, ends)

    x = x.transpose(0, 1) if rnn.batch_first else x
    output, h_n = rnn._run(x.masked_fill(~live(ends, L)[..., None], 0), hx, run=run)
    return (output.transpose(0, 1) if rnn.batch_first else output), h_n
