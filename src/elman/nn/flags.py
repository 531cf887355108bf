"""What a call says of single steps: which are there (`mask`), and which begin anew (`reset`)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from elman.ops.doors import traced, transformed

#: Integers as wide as the numbers of a dtype.
_BITS = {
    torch.float32: torch.int32,
    torch.float64: torch.int64,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}


class Flags(NamedTuple):
    """Bools in the layout of the sequence, (L, N, 1) or packed (rows, 1).

    Attributes:
        present: whether there is a step; false in a gap.
        left: whether the state before the step is left; false where it is set to zero.
        left_reverse: the same for who comes from the end: it leaves a row's episode where the
            next step began another.
    """

    present: Tensor | None = None
    left: Tensor | None = None
    left_reverse: Tensor | None = None

    def map(self, f: Callable[[Tensor], Tensor]) -> "Flags":
        """Each that is there through f."""
        return Flags(*(None if t is None else f(t) for t in self))


def as_flags(
    mask: Tensor | None,
    reset: Tensor | None,
    x: Tensor,
    batch_first: bool,
    lengths: Tensor | None,
    backward: bool,
) -> Flags:
    """The two as `Flags` of a padded batch, (L, N, 1); what lies beyond a row's length is not read.

    Args:
        backward: whether anything reads from the end.

    Raises:
        TypeError: one is no tensor of bools.
        ValueError: one has not a flag for every step.
    """
    leading = x.shape[: x.dim() - 1]
    for name, t in (("mask", mask), ("reset", reset)):
        if t is None:
            continue
        if not isinstance(t, Tensor) or t.dtype != torch.bool:
            got = t.dtype if isinstance(t, Tensor) else type(t).__name__
            raise TypeError(f"RNN: {name} should be a Tensor of bools, got {got}")
        if t.shape != leading:
            raise ValueError(
                f"RNN: {name} should be {tuple(leading)}, a flag for every step, got "
                f"{tuple(t.shape)}"
            )

    def arranged(t: Tensor) -> Tensor:
        if t.device != x.device:
            t = t.to(x.device)
        if t.dim() == 1:
            return t[:, None, None]  # unbatched
        return (t.transpose(0, 1) if batch_first else t).unsqueeze(-1)

    present = None if mask is None else arranged(mask)
    if reset is None:
        return Flags(present)
    begins = arranged(reset)
    if lengths is not None:
        steps = torch.arange(begins.shape[0], device=begins.device)
        begins = begins & (steps[:, None] < lengths.to(begins.device)).unsqueeze(-1)
    left = ~begins
    if not backward:
        return Flags(present, left)
    # a step from the end leaves an episode where the next one began
    return Flags(present, left, functional.pad(left[1:], (0, 0, 0, 0, 0, 1), value=True))


def without_gaps(x: Tensor, present: Tensor) -> Tensor:
    """x, and zeros where there is no step: in a gap there may be anything, NaN too.

    Args:
        x: (L, N, H_in) or packed (rows, H_in).
        present: as in `Flags`.

    >>> x = torch.tensor([[[1.0, -2.0]], [[3.0, float("nan")]]])
    >>> without_gaps(x, torch.tensor([True, False]).view(2, 1, 1)).flatten()
    tensor([ 1., -2.,  0.,  0.])
    """
    eager = not (torch.compiler.is_compiling() or traced() or transformed())
    plain = x.is_cpu and not x.requires_grad and not x.is_neg()
    if eager and plain and x.dtype in _BITS:
        # torch.where takes one number after another where a flag is for a whole row: six times as
        # long as the same on the bits
        bits = _BITS[x.dtype]
        return (x.view(bits) & -present.to(bits)).view(x.dtype)
    return torch.where(present, x, x.new_zeros(()))
