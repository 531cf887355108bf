"""Input of any form as padded rows, and output back in that form."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman.nn.flags import Flags, as_flags
from elman.nn.lengths import as_lengths, check_lengths


@dataclass
class Batch:
    """What one call reads.

    Attributes:
        x: (L, N, F), zero beyond the end of each row and in its gaps.
        lengths: (N,).
        flags: where there is a step, and where a row begins anew, (L, N, 1).
        packed, nested: the caller's, if it was that.
        unbatched, batch_first: of the caller's, if it was not.
    """

    x: Tensor
    lengths: Tensor
    flags: Flags
    packed: PackedSequence | None = None
    nested: Any = None
    unbatched: bool = False
    batch_first: bool = False

    @classmethod
    def of(cls, module: Any, given: Any, lengths: Any, mask: Any, reset: Any) -> "Batch":
        """From the arguments of a call."""
        if isinstance(given, PackedSequence):
            return _of_packed(given)
        if given.is_nested:
            return _of_nested(given)
        first = module.batch_first and given.dim() == 3
        steps = None if lengths is None else as_lengths(lengths).cpu().long()
        flags = as_flags(mask, reset, given, first, steps, True)
        if given.dim() == 2:
            x, steps = given[:, None], torch.tensor([len(given)], device="cpu")
        else:
            x = given.transpose(0, 1) if first else given
            L, N = x.shape[:2]
            if steps is None:
                steps = torch.full((N,), L, device="cpu")
            else:
                check_lengths(steps, N, L)
                beyond = torch.arange(L, device="cpu")[:, None] >= steps
                x = x.masked_fill(beyond.to(x.device)[..., None], 0.0)
        if flags.present is not None:
            x = x.masked_fill(flags.present == 0, 0.0)
        return cls(x, steps, flags, unbatched=given.dim() == 2, batch_first=first)

    def as_given(self, x: Tensor) -> Any:
        """Output in the caller's form."""
        if self.packed is not None:
            _, sizes, order, back = self.packed
            if order is not None:
                x = x.index_select(1, order)
            live = torch.arange(x.shape[1], device="cpu") < sizes[:, None]
            return PackedSequence(x[live.to(x.device)], sizes, order, back)
        if self.nested is not None:
            offsets, rows, steps = _places(self.nested)
            values = x.new_zeros(len(self.nested.values()), x.shape[-1])
            values = values.index_put((offsets,), x[steps, rows])
            given = self.nested
            return torch.nested.nested_tensor_from_jagged(values, given.offsets(), given.lengths())
        if self.unbatched:
            return x[:, 0]
        return x.transpose(0, 1) if self.batch_first else x

    def turned(self, x: Tensor) -> Tensor:
        """Each row from its last step to its first, (L, N, F); twice is nothing."""
        t = torch.arange(len(x), device="cpu")[:, None]
        there = t < self.lengths
        from_end = torch.where(there, self.lengths - 1 - t, t).to(x.device)
        return x.gather(0, from_end[..., None].expand_as(x))

    @property
    def beyond(self) -> Tensor:
        """True past the end of a row, (L, N, 1)."""
        past = torch.arange(len(self.x), device="cpu")[:, None] >= self.lengths
        return past.to(self.x.device)[..., None]


def _of_packed(given: PackedSequence) -> Batch:
    order = given.sorted_indices
    N = len(order) if order is not None else int(given.batch_sizes[0])
    # (L, N), the longest row first
    live = torch.arange(N, device="cpu") < given.batch_sizes[:, None]
    x = given.data.new_zeros((*live.shape, given.data.shape[-1]))
    x = x.index_put(tuple(live.to(x.device).nonzero(as_tuple=True)), given.data)
    steps = live.sum(0)
    if given.unsorted_indices is not None:
        x = x.index_select(1, given.unsorted_indices)
        steps = steps[given.unsorted_indices.cpu()]
    return Batch(x, steps, Flags(), packed=given)


def _of_nested(given: Any) -> Batch:
    """Of rows (N, j, F) in torch's jagged layout."""
    offsets, rows, steps = _places(given)
    N = len(given.offsets()) - 1
    lengths = torch.bincount(rows.cpu(), minlength=N)
    values = given.values()
    x = values.new_zeros(int(lengths.max()) if N else 0, N, values.shape[-1])
    return Batch(x.index_put((steps, rows), values[offsets]), lengths, Flags(), nested=given)


def _places(given: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Of each step of a nested tensor: where it lies, whose it is, and which one it is there."""
    begins = given.offsets()[:-1]
    lengths = given.offsets().diff() if given.lengths() is None else given.lengths()
    rows = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
    before = (lengths.cumsum(0) - lengths)[rows]
    steps = torch.arange(len(rows), device=lengths.device) - before
    return begins[rows] + steps, rows, steps
