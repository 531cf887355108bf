"""Batching rules: under vmap the new dimension becomes rows, or groups where the weights differ.

Nothing loops over the batch. With one weight for all, B copies of N rows are N·B rows; with a
weight for each of B, they are B groups. Either way the new dimension is put after the rows.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor


def batched(
    apply: Callable[..., Any],
    B: int,
    in_dims: Sequence[int | None],
    sequences: Sequence[int],
    args: Sequence[Any],
) -> tuple[Any, Any]:
    """Run `apply` once for the whole batch.

    Args:
        apply: an op of (sequence, weight, initial, ..., batch_sizes, reverse, backend).
        B: the size of the new dimension.
        in_dims: where it is in each argument, None where it is not.
        sequences: which arguments have the shape of a sequence.
        args: the arguments.

    Returns:
        The result, or the results, and where the new dimension is in each.
    """
    folded = list(args)
    (weight, weight_dim), batch_sizes = (args[1], in_dims[1]), args[-3]
    grouped = weight.dim() - (weight_dim is not None) == 3
    by_rows = weight_dim is None
    rows_end = 2 if batch_sizes is None else 1  # (L, N, ...) or (rows, ...)

    def fold(x: Tensor | None, dim: int | None, place: int) -> Tensor | None:
        """Put the new dimension at `place`, after the rows, and join it to rows or groups."""
        if x is None:
            return None
        x = (
            x.unsqueeze(place).expand(*x.shape[:place], B, *x.shape[place:])
            if dim is None
            else (x.movedim(dim, place))
        )
        if by_rows:
            return x.flatten(place - 1, place)
        return x.flatten(place, place + 1) if grouped else x

    for k in sequences:
        folded[k] = fold(args[k], in_dims[k], rows_end)
    folded[2] = fold(args[2], in_dims[2], 1)
    if by_rows:
        folded[-3] = None if batch_sizes is None else batch_sizes * B
    else:
        weight = weight.movedim(weight_dim, 0)  # (B, H, H) or (B, G, H, H)
        folded[1] = weight.flatten(0, 1) if grouped else weight

    def unfold(x: Tensor) -> tuple[Tensor, int | None]:
        if x.dim() != folded[0].dim():  # what stands for a result that is not there
            return x, None
        if by_rows:
            k = rows_end - 1
            return x.unflatten(k, (x.shape[k] // B, B)), rows_end
        return (x.unflatten(rows_end, (B, -1)) if grouped else x), rows_end

    result = apply(*folded)
    if isinstance(result, Tensor):
        return unfold(result)
    results, places = zip(*map(unfold, result), strict=True)
    return results, places
