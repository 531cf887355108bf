"""The gates of a layer, and how they lie: still in time, the same for all rows or all columns.

    h_t = e_t ⊙ h' + g_t ⊙ f(a_t + (q_t ⊙ h') Wᵀ)        h' = r_t ⊙ h_{t-1}

A gate of a dense sequence is (L, N, H) with one in the place of any of them; of a packed one
(1, N, H), the same at every step, or (rows, H), where N and H may be one. It has the dtype of the
input, or bools, which stand for one and zero in a byte. In the kernels a g of bools, with nothing
but q beside it, is a choice: where it is false the state stays as it is, whatever f gave, NaN too.
So is an r or a q of bools there: nothing of what it hides is left, not even NaN.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from elman.ops.layout import rows_of


class Gates(NamedTuple):
    """Of one direction.

    g: how much of the new state is taken. Default: one.
    q: what of the last state the product sees. Default: one.
    e: how much of the last state goes on. Default: 1 - g, so zero without g.
    r: what is left of the last state before anything else; zero begins anew. Default: one.

    >>> leak = Gates(g=torch.tensor(0.25).view(1, 1, 1))
    >>> leak.carry, Gates(r=torch.ones(5, 2, 1)).carry
    (True, False)
    """

    g: Tensor | None = None
    q: Tensor | None = None
    e: Tensor | None = None
    r: Tensor | None = None

    def to(self, dtype: torch.dtype) -> "Gates":
        """Each in that dtype, but for bools."""
        return Gates(*(c if c is None or c.dtype == torch.bool else c.to(dtype) for c in self))

    @property
    def carry(self) -> bool:
        """Whether a state goes on past f, so that y is not h."""
        return self.g is not None or self.e is not None

    @property
    def keeps_y(self) -> bool:
        """Whether the gradients need y beside h.

        Where a g of bools stands without e, h is y or y counts for nothing.
        """
        return self.e is not None or (self.g is not None and self.g.dtype != torch.bool)

    def spread(self, like: Tensor, batch_sizes: Tensor | None) -> "Gates":
        """Each in the shape and dtype of a sequence, with e written out and r within q and e."""
        g, q, e, r = (c if c is None else numbers(c, like) for c in self)
        if e is None and g is not None:
            e = 1 - g
        g, q, e, r = (
            None if c is None else spread(c, like.shape, batch_sizes) for c in (g, q, e, r)
        )
        if r is not None:
            q, e = r if q is None else q * r, None if e is None else e * r
        return Gates(g, q, e)

    def flat(self, x: Tensor) -> list[Tensor]:
        """As an operator takes them: a tensor of one dimension stands for one that is absent."""
        absent = x.new_empty(0)
        return [absent if c is None else c for c in self]


#: How many factors an operator is given for a direction.
EACH = len(Gates._fields)


def from_flat(factors: list[Tensor]) -> list[Gates]:
    """The gates of every direction, from those of all of them in a row."""
    given = [None if c.dim() == 1 else c for c in factors]
    return [Gates(*given[k : k + EACH]) for k in range(0, len(given), EACH)]


def numbers(c: Tensor, like: Tensor) -> Tensor:
    """A gate, and where it is of bools their numbers."""
    return c.to(like.dtype) if c.dtype == torch.bool else c


def spread(c: Tensor, shape: torch.Size, batch_sizes: Tensor | None) -> Tensor:
    """A gate in the shape of a sequence, (L, N, H) or (rows, H); a view of it if it can be."""
    if batch_sizes is None or c.dim() == 2:
        return c.expand(shape)
    row = c[0].expand(-1, shape[1])
    if c.shape[1] == 1:
        return row.expand(shape)
    _, place = rows_of(batch_sizes, shape[0])
    return row.index_select(0, place.to(c.device))


def gathered(bar: Tensor, c: Tensor, batch_sizes: Tensor | None) -> Tensor:
    """The gradient of a gate, from that of the gate spread out."""
    if batch_sizes is None or c.dim() == 2 or c.shape[1] == 1:
        return bar.sum_to_size(c.shape[-bar.dim() :]).view(c.shape)
    _, place = rows_of(batch_sizes, bar.shape[0])
    rows = bar.new_zeros(c.shape[1], bar.shape[1])
    return rows.index_add_(0, place.to(bar.device), bar).sum_to_size(c.shape[1:]).unsqueeze(0)


def check_gates(gates: Gates, x: Tensor, N: int, H: int, batch_sizes: Tensor | None) -> None:
    """Types and shapes.

    Raises:
        TypeError: a gate is no tensor of the input's dtype or of bools.
        ValueError: it has another shape, or lies on another device.
    """
    for name, c in zip(Gates._fields, gates, strict=True):
        if c is None:
            continue
        if not isinstance(c, Tensor) or c.dtype not in (x.dtype, torch.bool):
            got = c.dtype if isinstance(c, Tensor) else type(c).__name__
            raise TypeError(
                f"{name} should be a Tensor of {x.dtype}, as the input, or of bools, got {got}"
            )
        if c.device != x.device:
            raise ValueError(f"{name} should be on {x.device}, as the input, got {c.device}")
        full: tuple[int, ...] = (x.shape[0] if batch_sizes is None else 1, N, H)
        if batch_sizes is not None and c.dim() == 2:
            full = (x.shape[0], H)
        fits = c.dim() == len(full) and all(
            size == of or (size == 1 and not (k == 0 and len(full) == 2))
            for k, (size, of) in enumerate(zip(c.shape, full, strict=True))
        )
        if not fits:
            raise ValueError(
                f"{name} should be {full}, or one in the place of any of them, got {tuple(c.shape)}"
            )
