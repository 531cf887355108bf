"""Random masks, the same on every backend under one seed of torch's.

torch's generator gives a key; a place is told from it and the place's number alone, by the
arithmetic that csrc/masks.h has too. So the kernels need not wait for a generator that hands out
one number after another, and a mask is the same wherever it is made.
"""

import torch
from torch import Tensor

from elman.ops import cpu
from elman.ops.doors import traced, transformed

_DRAWS = 1 << 16  # values of a draw: a probability is met to within 1/131072
_WORDS = 64  # of 32 bits: the lower halves of so many are draws, and then the upper ones
_32_BITS = (1 << 32) - 1


def kept(shape: tuple[int, ...], dropped: float, device: torch.device) -> Tensor:
    """Bools, true where something is kept, drawn from torch's generator of the device.

    Args:
        shape: of the mask.
        dropped: with which probability a place is false, from 0 to 1.
        device: where it is wanted.

    >>> kept((2, 3), 0.0, torch.device("cpu"))
    tensor([[True, True, True],
            [True, True, True]])
    """
    if traced() or transformed() or torch.compiler.is_compiling():  # who draws in their own way
        return torch.rand(shape, dtype=torch.float32, device=device) >= dropped
    key = torch.empty((), dtype=torch.int64, device=device).random_(-(2**63), None)
    edge = round(dropped * _DRAWS)
    if device.type != "cpu" or cpu.problem() is not None:
        return _draws(key, torch.Size(shape).numel()).view(shape) >= edge
    mask = torch.empty(shape, dtype=torch.bool, device=device)
    cpu.draw_mask(int(key), edge, mask)
    return mask


def scaled_mask(shape: tuple[int, ...], dropped: float, like: Tensor) -> Tensor:
    """Dropout's mask: zeros, and numbers that make the mean one, in the dtype and place of `like`.

    >>> scaled_mask((2, 3), 0.0, torch.zeros(1))
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    if dropped == 1:
        return like.new_zeros(shape)
    return kept(shape, dropped, like.device).to(like.dtype) / (1 - dropped)


def _draws(key: Tensor, size: int) -> Tensor:
    """A draw from 0 to 65535 for each place, (size,)."""
    blocks = -(-size // (2 * _WORDS))
    number = torch.arange(blocks * _WORDS, device=key.device)
    word = _stirred(_stirred(number + key & _32_BITS) ^ (key >> 32 & _32_BITS)).view(-1, _WORDS)
    return torch.cat([word & _DRAWS - 1, word >> 16], 1).flatten()[:size]


def _stirred(h: Tensor) -> Tensor:
    """The last steps of Austin Appleby's MurmurHash3, 32 bits in the lower half of 64."""
    h = (h ^ h >> 16) * 0x85EBCA6B & _32_BITS
    h = (h ^ h >> 13) * 0xC2B2AE35 & _32_BITS
    return h ^ h >> 16
