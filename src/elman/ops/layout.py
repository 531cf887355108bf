"""Where the rows of a sequence lie in memory, dense or packed, and who follows whom in time.

Dense, a sequence is (L, N, ...): step t owns rows t·N to (t+1)·N. Packed, it is (rows, ...)
and step t owns the next `batch_sizes[t]` rows, never more than the step before. Either way
row i of a step is the same sequence as row i of its neighbours, and a scan visits the steps
in order or, with `reverse`, from the last to the first. N is the number of rows of the
initial state; rows beyond `batch_sizes[0]` have length zero.

The shape before H may hold groups: (..., G, H) against a weight of (G, H, H).
"""

from collections.abc import Iterator
from itertools import repeat

import torch
from torch import Tensor

# --- inside a loop over time -------------------------------------------------------------


def in_order(
    batch_sizes: Tensor | None, reverse: bool, *sequences: Tensor | None
) -> Iterator[tuple]:
    """The steps in the order of the scan, one view a sequence; None stays None."""
    sizes = None if batch_sizes is None else batch_sizes.tolist()

    def steps(x: Tensor | None) -> Iterator[Tensor | None]:
        if x is None:
            return repeat(None)
        views = x.unbind(0) if sizes is None else x.split(sizes)
        return reversed(views) if reverse else iter(views)

    return zip(*map(steps, sequences), strict=False)  # repeat() has no end


def continued(state: Tensor, initial: Tensor, rows: int) -> Tensor:
    """The state that enters a step of so many rows: rows that begin here bring their own."""
    had = state.shape[0]
    if had == rows:
        return state
    return state[:rows] if had > rows else torch.cat([state, initial[had:rows]])


def joined(states: list[Tensor], like: Tensor, reverse: bool) -> Tensor:
    """The steps of a scan as one tensor in the shape of `like`."""
    if not states:
        return torch.empty_like(like)
    return torch.cat(states[::-1] if reverse else states).view(like.shape)


# --- products with a weight, grouped or not ----------------------------------------------


def scaled(by: Tensor | None, x: Tensor) -> Tensor:
    """The product by ⊙ x, where an absent factor is one."""
    return x if by is None else by * x


def product(x: Tensor, weight: Tensor) -> Tensor:
    """The product x M over the last dimension; group by group for a weight of (G, H, H)."""
    if weight.dim() == 2:
        return x @ weight
    return torch.einsum("...gi,gij->...gj", x, weight)


def outer(u: Tensor, v: Tensor, weight: Tensor) -> Tensor:
    """Σ uᵀ v over every row, in the shape of `weight`."""
    if weight.dim() == 2:
        return u.reshape(-1, u.shape[-1]).mT @ v.reshape(-1, v.shape[-1])
    return torch.einsum("rgi,rgj->gij", u.flatten(0, -3), v.flatten(0, -3))


# --- whole sequences, moved in time ------------------------------------------------------


def previous(x: Tensor, initial: Tensor, batch_sizes: Tensor | None, reverse: bool) -> Tensor:
    """What the scan saw before each step: x_{t-1}, and `initial` where a row begins."""
    if batch_sizes is None:
        parts = (x[1:], initial[None]) if reverse else (initial[None], x[:-1])
        return torch.cat(parts)[: x.shape[0]]
    begins, before, row = _before(batch_sizes, x.shape[0], reverse)
    index = torch.where(begins, x.shape[0] + row, before)
    return torch.cat([x, initial]).index_select(0, index.to(x.device))


def outer_with_previous(
    u: Tensor,
    x: Tensor,
    initial: Tensor | None,
    weight: Tensor,
    batch_sizes: Tensor | None,
    reverse: bool,
) -> Tensor:
    """Σ u_tᵀ x_{t-1} over every row, in the shape of `weight`; a dense x may begin from nothing."""
    first, rest, before = (u[-1:], u[:-1], x[1:]) if reverse else (u[:1], u[1:], x[:-1])
    if initial is None:
        return outer(rest, before, weight)
    # under vmap the sum below would be one more of a whole weight for every copy
    transformed = torch._C._are_functorch_transforms_active()
    if batch_sizes is not None or x.shape[0] == 0 or transformed:
        return outer(u, previous(x, initial, batch_sizes, reverse), weight)
    # dense: the neighbours are views, so nothing is copied
    return outer(rest, before, weight) + outer(first, initial[None], weight)


def following(x: Tensor, batch_sizes: Tensor | None, reverse: bool) -> Tensor:
    """What the scan will see after each step: x_{t+1}, and zero where a row ends."""
    if batch_sizes is None:
        return previous(x, x.new_zeros(x.shape[1:]), None, not reverse)
    ends, after, _ = _before(batch_sizes, x.shape[0], not reverse)
    index = torch.where(ends, x.shape[0], after)
    return torch.cat([x, x.new_zeros(1, *x.shape[1:])]).index_select(0, index.to(x.device))


def begun(x: Tensor, batch_sizes: Tensor | None, reverse: bool, rows: int) -> Tensor:
    """What x is at each row's first step, (rows, ...); zero for rows of length zero."""
    return _at_the_edge(x, x.new_zeros(rows, *row_shape(x, batch_sizes)), batch_sizes, reverse)


def ended(x: Tensor, initial: Tensor, batch_sizes: Tensor | None, reverse: bool) -> Tensor:
    """What x is at each row's last step, (N, ...); `initial` for rows of length zero."""
    return _at_the_edge(x, initial, batch_sizes, not reverse)


def _at_the_edge(x: Tensor, otherwise: Tensor, batch_sizes: Tensor | None, last: bool) -> Tensor:
    """Each row's earliest or last step in x, and what is put in the place of rows without any."""
    if batch_sizes is None:
        if x.shape[0] == 0:
            return otherwise
        return x[-1] if last else x[0]
    if batch_sizes.shape[0] == 0:
        return otherwise
    live, place = edge(batch_sizes, otherwise.shape[0], last)
    # whether there is any row a compiler cannot know; so those without steps find theirs beyond
    place = torch.where(live, place, x.shape[0] + torch.arange(place.shape[0], device=place.device))
    return torch.cat([x, otherwise]).index_select(0, place.to(x.device))


def row_shape(x: Tensor, batch_sizes: Tensor | None) -> torch.Size:
    """The shape of one row of one step: (H,) or (G, H)."""
    return x.shape[2:] if batch_sizes is None else x.shape[1:]


def lying_as(x: Tensor) -> Tensor:
    """A tensor of x's shape with its rows in memory as those of x, yet without numbers."""
    if x.dim() == 3 and (x.shape[2] <= 1 or x.stride(2) == 1) and x.stride(0) < x.stride(1):
        flipped = x.transpose(0, 1)
        return flipped.new_empty(flipped.shape).transpose(0, 1)
    return x.new_empty(x.shape)


def edge(batch_sizes: Tensor, rows: int, last: bool) -> tuple[Tensor, Tensor]:
    """Which rows have any steps, and where the earliest or the last of each lies; both (rows,)."""
    row = torch.arange(rows, device=batch_sizes.device)  # which a default device need not be
    lengths = lengths_of(batch_sizes, row)
    offset = batch_sizes.cumsum(0) - batch_sizes
    place = offset[(lengths - 1).clamp(min=0)] + row if last else row
    return lengths > 0, torch.where(lengths > 0, place, 0)


def live(lengths: Tensor, L: int) -> Tensor:
    """Which of L steps each row of a padded batch has, (L, N)."""
    return torch.arange(L, device=lengths.device)[:, None] < lengths


def lengths_of(batch_sizes: Tensor, row: Tensor) -> Tensor:
    """How many steps the rows of these numbers have."""
    # batch_sizes never increases, so row i lives as long as batch_sizes[t] > i
    return batch_sizes.shape[0] - torch.searchsorted(batch_sizes.flip(0), row, right=True)


def rows_of(batch_sizes: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Of each of the packed rows its step, and which row of the batch it is; both (rows,)."""
    offset = batch_sizes.cumsum(0) - batch_sizes  # of each step its first row
    steps = torch.arange(batch_sizes.shape[0], device=batch_sizes.device)
    step = torch.repeat_interleave(steps, batch_sizes, output_size=rows)
    return step, torch.arange(rows, device=batch_sizes.device) - offset[step]


def _before(batch_sizes: Tensor, rows: int, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Of each of the packed rows whether it begins there, else where the scan comes from; its row.

    Nothing here has a size that depends on what is in batch_sizes, so a compiler can follow.
    """
    offset = batch_sizes.cumsum(0) - batch_sizes
    step, row = rows_of(batch_sizes, rows)
    if reverse:
        size = torch.cat([batch_sizes[1:], batch_sizes.new_zeros(1)])  # of the step after
        return row >= size[step], (offset + batch_sizes)[step] + row, row
    return step == 0, (offset - batch_sizes.roll(1))[step] + row, row
