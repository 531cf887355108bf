"""Random masks of zeros and ones, the same on every backend under one seed of torch's."""

import torch
from torch import Tensor

from elman.ops.doors import transformed

_WORD = 1 << 16  # values of a draw: a probability is met to within 1/131072


def kept(shape: tuple[int, ...], dropped: float, like: Tensor) -> Tensor:
    """Ones where something is kept, zeros where it is dropped, in the dtype and place of `like`.

    Drawn from torch's generator of that device, four places a draw, which takes a tenth of the
    time of torch.bernoulli on some processors.

    Args:
        shape: of the mask.
        dropped: with which probability a place is zero, from 0 to 1.

    >>> kept((2, 3), 0.0, torch.zeros(1))
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    size = torch.Size(shape).numel()
    if transformed() or torch.compiler.is_compiling():  # who draws in their own way
        return torch.rand(shape, dtype=torch.float32, device=like.device).ge(dropped).to(like.dtype)
    words = torch.empty(-(-size // 4), dtype=torch.int64, device=like.device)
    words.random_(-(2**63), None)
    draws = words.view(torch.int16)[:size].view(shape)  # uniform in ±2¹⁵
    edge = round(dropped * _WORD) - _WORD // 2
    if edge >= _WORD // 2:
        return like.new_zeros(shape)
    return torch.ge(draws, edge, out=like.new_empty(shape))  # in one pass, straight to numbers


def scaled_mask(shape: tuple[int, ...], dropped: float, like: Tensor) -> Tensor:
    """The same with ones so much larger that the mean is one: dropout's mask."""
    if dropped == 1:
        return like.new_zeros(shape)
    return kept(shape, dropped, like) / (1 - dropped)
