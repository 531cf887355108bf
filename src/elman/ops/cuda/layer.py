"""A layer of a network on a GPU, whole, and its gradients: one launch of the scan's kernel each.

Both directions run side by side in it, as two groups. What is left are products of whole sequences
and sums: torch's own. A small layer has all of them in one launch (`small.py`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.ops.check import check_layer
from elman.ops.cuda import beside, run, small
from elman.ops.cuda.kinds import BACK, FORWARD
from elman.ops.layout import outer, outer_with_previous
from elman.ops.on_device import before
from elman.ops.operators import directions


def layer(
    x: Tensor,
    h_0: Tensor | None,
    weights: Sequence[Tensor],
    bias: bool,
    nonlinearity: str,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """As `elman.ops.layer.layer`, outside of autograd; of a dense sequence h_0 may be absent.

    Args:
        batch_sizes: of packed x; of a dense one the lengths of its rows, (N,), int32 on the GPU.
            What lies beyond should be zero, and is so in the output.

    Raises:
        RuntimeError: a shape does not fit.
    """
    check_layer(x, h_0, weights, bias, batch_sizes is None)
    if batch_sizes is None:
        sizes = small.sizes_of(x, h_0, weights, bias, nonlinearity)
        if small.serves(sizes):
            return small.layer(sizes, x, h_0, weights)
    batch_sizes, lengths = _told_apart(x, batch_sizes)
    ways = directions(list(weights), bias)
    D, H = len(ways), ways[0][1].shape[0]
    N = x.shape[1] if h_0 is None else h_0.shape[1]
    h_n = x.new_empty(D, N, H)
    if D == 1 and batch_sizes is None and lengths is None and x.numel() > 0:
        steps = beside.steps_before(x, H)
        if steps < len(x):
            first = None if h_0 is None else h_0[0]
            return beside.layer(x, first, list(weights), nonlinearity, h_n[0], steps), h_n
    a = _from_x(x, ways)
    output = a if lengths is None else torch.zeros_like(a)
    run(
        FORWARD, _grouped(a, D), _of_h(ways), _of_rows(h_0), f=nonlinearity,
        batch_sizes=batch_sizes, lengths=lengths, reverse=_ways(D), last=_of_rows(h_n),
        out=_grouped(output, D),
    )  # fmt: skip
    return output, h_n


def layer_backward(
    output_bar: Tensor | None,
    h_n_bar: Tensor | None,
    x: Tensor,
    h_0: Tensor | None,
    output: Tensor,
    weights: Sequence[Tensor],
    bias: bool,
    nonlinearity: str,
    batch_sizes: Tensor | None,
    wanted: tuple[bool, bool, bool],
) -> list[Tensor | None]:
    """As `cpu.layer_backward`; None for what is not wanted. As to `batch_sizes` see `layer`."""
    if batch_sizes is None:
        sizes = small.sizes_of(x, h_0, weights, bias, nonlinearity)
        if small.serves(sizes, back=True):
            return small.layer_backward(sizes, output_bar, h_n_bar, x, h_0, output, weights, wanted)
    batch_sizes, lengths = _told_apart(x, batch_sizes)
    ways = directions(list(weights), bias)
    D = len(ways)
    make = torch.empty_like if lengths is None else torch.zeros_like
    delta = make(output, memory_format=torch.contiguous_format)
    begun = None if h_0 is None else torch.empty_like(h_0, memory_format=torch.contiguous_format)
    run(
        BACK, None if output_bar is None else _grouped(output_bar, D), _of_h(ways).mT, None,
        _grouped(output, D), f=nonlinearity, batch_sizes=batch_sizes, lengths=lengths,
        reverse=_ways(D) ^ (2**D - 1), more=_of_rows(h_n_bar), last=_of_rows(begun),
        out=_grouped(delta, D),
    )  # fmt: skip
    ragged = lengths is not None
    bars = _gradients(delta, begun, x, h_0, output, ways, batch_sizes, ragged, wanted)
    if lengths is not None and bars[1] is not None and h_n_bar is not None:
        bars[1] = torch.where((lengths == 0)[:, None], h_n_bar, bars[1])  # of rows without a step
    if bars[1] is not None and h_n_bar is not None and (batch_sizes is not None or len(x) == 0):
        live = 0 if len(x) == 0 or batch_sizes is None else int(batch_sizes[0])
        bars[1][:, live:] = h_n_bar[:, live:]  # of rows without a step
    return bars


def _told_apart(x: Tensor, sizes: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """The batch sizes of packed rows, and the lengths of the others."""
    return (None, sizes) if x.dim() == 3 else (sizes, None)


# --- the products, by torch --------------------------------------------------------------------


def _from_x(x: Tensor, ways: list[list[Tensor]]) -> Tensor:
    """What the input says to every unit of every direction, (L, N, D·H) or (rows, D·H)."""
    weight_ih, _, *biases = (
        ts[0] if len(ts) == 1 else torch.cat(ts) for ts in zip(*ways, strict=True)
    )
    # into a tensor of its own: functional.linear gives a view, in which the caller could not write
    a = x.new_empty(*x.shape[:-1], len(weight_ih))
    beside.product(x, weight_ih, biases[0] + biases[1] if biases else None, a)
    return a


def _gradients(
    delta: Tensor,
    begun: Tensor | None,
    x: Tensor,
    h_0: Tensor | None,
    output: Tensor,
    ways: list[list[Tensor]],
    batch_sizes: Tensor | None,
    ragged: bool,
    wanted: tuple[bool, bool, bool],
) -> list[Tensor | None]:
    """Those of x, h_0 and the weights, from what reaches the inside of f.

    Args:
        delta: that, in the shape of the output.
        begun: the same at each row's first step, (D, N, H), where there is an h_0.
        ragged: whether rows of a dense x end before it does.
    """
    D, H = len(ways), ways[0][1].shape[0]
    bars: list[Tensor | None] = [None] * (2 + sum(map(len, ways)))
    if wanted[0]:
        bars[0] = delta @ (ways[0][0] if D == 1 else torch.cat([way[0] for way in ways]))
    if wanted[1] and begun is not None:
        bars[1] = begun @ (_of_h(ways) if D == 2 else ways[0][1][None])
    if not wanted[2]:
        return bars
    rows, of_x = delta.flatten(0, -2), x.flatten(0, -2)
    each = len(ways[0])
    of_ih, sums = rows.mT @ of_x, rows.sum(0) if each == 4 else None
    for d, (_, weight_hh, *_biases) in enumerate(ways):
        own, h = (t if D == 1 else t.narrow(-1, d * H, H) for t in (delta, output))
        if h_0 is None or batch_sizes is None:
            initial = None if h_0 is None or ragged else h_0[d]
            of_hh = outer_with_previous(own, h, initial, weight_hh, None, d == 1)
            if ragged and h_0 is not None and begun is not None:
                of_hh = of_hh + outer(begun[d], h_0[d], weight_hh)
        else:
            index = before(batch_sizes, h_0.shape[1], x.device, d == 1)
            of_hh = outer(own, torch.cat([h, h_0[d]]).index_select(0, index), weight_hh)
        ours = slice(d * H, (d + 1) * H)
        of_biases = () if sums is None else (sums[ours], sums[ours].clone())
        bars[2 + each * d : 2 + each * (d + 1)] = of_ih[ours], of_hh, *of_biases
    return bars


# --- the directions ----------------------------------------------------------------------------


def _ways(D: int) -> int:
    """The directions that run from the end, a bit each: the second."""
    return 2 * (D - 1)


def _of_h(ways: list[list[Tensor]]) -> Tensor:
    """The weights of h: (H, H), or (D, H, H) of two directions."""
    return ways[0][1] if len(ways) == 1 else torch.stack([way[1] for way in ways])


def _grouped(x: Tensor, D: int) -> Tensor:
    """A sequence with its directions as groups, if there are two."""
    return x if D == 1 else x.unflatten(-1, (D, -1))


def _of_rows(states: Tensor | None) -> Tensor | None:
    """States of (D, N, H) as (N, H), or (N, D, H) for two directions."""
    if states is None:
        return None
    return states[0] if states.shape[0] == 1 else states.transpose(0, 1)
