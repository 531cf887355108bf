"""Rows of unequal length in a padded batch: packed for the recurrence, and back.

Where torch's `pack_padded_sequence` asks for lengths from 1 on and ends a graph, this takes rows of
no steps at all and is made of operators that torch.compile and torch.export can follow.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman.ops.doors import traced
from elman.ops.layout import live

_NARROW = (torch.int16, torch.int8, torch.uint8)
_INTEGERS = (torch.int64, torch.int32, *_NARROW)

Lengths = Tensor | Sequence[int]


def as_lengths(lengths: Lengths) -> Tensor:
    """A tensor; of a list one on the CPU, whatever the default device is.

    Of integers that count far enough: L may be more than they hold.
    """
    if not isinstance(lengths, Tensor):
        try:
            dtype = None if len(lengths) else torch.int64
            lengths = torch.tensor(lengths, device="cpu", dtype=dtype)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"lengths should be a Tensor or a list of integers, got {lengths!r}"
            ) from error
    return lengths.long() if lengths.dtype in _NARROW else lengths


class Packing(NamedTuple):
    """Where the steps of a padded batch lie in a packed one.

    Attributes:
        place: of each packed row, its place in the padded batch taken as L·N rows, (rows,).
        batch_sizes: rows at each of the L steps, (L,); 0 after the longest row has ended.
        order: the rows of the batch, the longest first, (N,).
    """

    place: Tensor
    batch_sizes: Tensor
    order: Tensor

    def pack(self, x: Tensor) -> PackedSequence:
        """The steps that are there of x, padded, (L, N, ...) or (N, L, ...)."""
        data = x.flatten(0, 1).index_select(0, self.place.to(x.device))
        order = self.order.to(x.device)
        return PackedSequence(data, self.batch_sizes, order, order.argsort())

    def pad(self, data: Tensor, padded: torch.Size) -> Tensor:
        """Packed rows in a batch of this shape, (L, N) or (N, L), with zeros where no step is."""
        rows = data.new_zeros(padded[0] * padded[1], *data.shape[1:])
        return rows.index_copy(0, self.place.to(data.device), data).unflatten(0, padded)


def packing(
    lengths: Tensor, L: int, batch_first: bool = False, starts: Tensor | None = None
) -> Packing:
    """How to pack a padded batch.

    Args:
        lengths: steps of each row, integers (N,), checked.
        L: steps of the padded batch.
        batch_first: whether it is (N, L, ...) instead of (L, N, ...).
        starts: where each row begins if rows lie one after another without padding, (N,).

    >>> packing(torch.tensor([1, 3, 0]), 4).batch_sizes
    tensor([2, 1, 1, 0])
    """
    lengths = lengths.cpu()
    N = lengths.shape[0]
    order = lengths.argsort(descending=True, stable=True)
    there = live(lengths[order], L)
    t, row = there.nonzero(as_tuple=True)
    row = order[row]
    if starts is not None:
        return Packing(starts.cpu()[row] + t, there.sum(1), order)
    return Packing(row * L + t if batch_first else t * N + row, there.sum(1), order)


def all_whole(lengths: Tensor, L: int) -> bool:
    """Whether every row has all L steps, so that there is nothing to pack; unknown in a graph."""
    if torch.compiler.is_compiling():
        return False
    return len(lengths) > 0 and int(lengths.min()) == L


def check_lengths(lengths: Tensor, N: int, L: int) -> None:
    """Refuse what is not N integers from 0 to L.

    Raises:
        ValueError: as it says.
        RuntimeError: torch.jit.trace is writing them down, or vmap hides what they are.
    """
    if traced():
        raise RuntimeError(
            "RNN: torch.jit.trace would freeze the lengths it is given; use torch.export"
        )
    if torch._C._functorch.is_batchedtensor(lengths):
        raise RuntimeError(
            "RNN: under vmap lengths should be the same for every sample, got some of each; "
            "say by mask which steps are there"
        )
    check_shape(lengths, N)
    if torch.compiler.is_compiling():  # what they are is known when the graph runs
        assert_within(lengths, L)
    elif N and not 0 <= int(lengths.min()) <= int(lengths.max()) <= L:
        got = f"{int(lengths.min())} to {int(lengths.max())}"
        raise ValueError(f"lengths should lie between 0 and L = {L}, got {got}")


def assert_within(lengths: Tensor, L: int) -> None:
    """Have a graph, or a GPU, end where a length is not from 0 to L; the host does not wait."""
    fit = ((lengths >= 0) & (lengths <= L)).all()
    torch._assert_async(fit, "lengths should lie between 0 and L")


def check_shape(lengths: Tensor, N: int) -> None:
    """Refuse what is not N integers.

    Raises:
        ValueError: as it says.
    """
    if lengths.shape != (N,) or lengths.dtype not in _INTEGERS:
        raise ValueError(
            f"lengths should be {N} integers, got {lengths.dtype} of {tuple(lengths.shape)}"
        )
