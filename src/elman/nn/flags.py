"""What a call says of single steps: which are there (`mask`), and which begin anew (`reset`)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


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
        steps = torch.arange(len(begins), device=begins.device)
        begins = begins & (steps[:, None] < lengths.to(begins.device)).unsqueeze(-1)
    left = ~begins
    if not backward:
        return Flags(present, left)
    # a step from the end leaves an episode where the next one began
    return Flags(present, left, functional.pad(left[1:], (0, 0, 0, 0, 0, 1), value=True))
