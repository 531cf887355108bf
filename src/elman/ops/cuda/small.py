"""A small layer on a GPU: its scan in one launch, and all of its products in another.

Such a layer takes as long as it takes to ask for it. So everything that goes by sizes is found
once, and a call makes room for what comes out and fills in addresses.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from elman.ops.cuda.calls import Call, call_of
from elman.ops.cuda.kinds import BACK, FORWARD
from elman.ops.cuda.products import Product, Products
from elman.ops.operators import directions

#: Up to so many multiplications the time to ask for them is what counts; up to twice as many for
#: gradients, of which there is more to ask.
MOST = 2**30
#: And of so many rows of all steps, which a weight's gradient is a sum over.
MOST_ROWS = 2**18


class Sizes(NamedTuple):
    """What a layer goes by.

    initial: whether there is an h_0.
    """

    L: int
    N: int
    H_in: int
    H: int
    D: int
    bias: bool
    initial: bool
    nonlinearity: str
    dtype: torch.dtype
    device: torch.device


def sizes_of(
    x: Tensor, h_0: Tensor | None, weights: Sequence[Tensor], bias: bool, nonlinearity: str
) -> Sizes:
    """Those of a layer of a dense x."""
    L, N, H_in = x.shape
    H, D = weights[1].shape[0], len(weights) // (4 if bias else 2)
    return Sizes(L, N, H_in, H, D, bias, h_0 is not None, nonlinearity, x.dtype, x.device)


def serves(sizes: Sizes, back: bool = False) -> bool:
    """Whether a layer is so small, forward or back."""
    L, N, H_in, H, D, *_ = sizes
    most = 2 * MOST if back else MOST
    return L * N <= MOST_ROWS and H_in > 0 and 0 < L * N * D * H * (H_in + H) <= most


def layer(
    sizes: Sizes, x: Tensor, h_0: Tensor | None, weights: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """As `elman.ops.cuda.layer.layer`."""
    x, weights = x.contiguous(), [_by_16(w) for w in weights]
    h_0 = None if h_0 is None else h_0.contiguous()
    products, scan = _forward(sizes)
    L, N, D, H = sizes.L, sizes.N, sizes.D, sizes.H
    output, h_n = x.new_empty(L, N, D * H), x.new_empty(D, N, H)
    of_x, a, own = x.data_ptr(), output.data_ptr(), H * x.itemsize
    addresses, ways = [], _ways(weights, sizes)
    for d, (weight_ih, _, *biases) in enumerate(ways):
        addresses.append((of_x, weight_ih, weight_ih, a + own * d, *(biases or _NONE), *_NONE))
    products(addresses, x)
    of_h, first = ways[0][1], 0 if h_0 is None else h_0.data_ptr()
    scan(a, 0, 0, 0, a, 0, of_h, first, 0, h_n.data_ptr(), 0, 0, 0, _between(ways, x))
    return output, h_n


def layer_backward(
    sizes: Sizes,
    output_bar: Tensor | None,
    h_n_bar: Tensor | None,
    x: Tensor,
    h_0: Tensor | None,
    output: Tensor,
    weights: Sequence[Tensor],
    wanted: tuple[bool, bool, bool],
) -> list[Tensor | None]:
    """As `elman.ops.cuda.layer.layer_backward`."""
    x, weights = x.contiguous(), [_by_16(w) for w in weights]
    h_0 = None if h_0 is None else h_0.contiguous()
    h_n_bar = None if h_n_bar is None else h_n_bar.contiguous()
    output, output_bar = _by_16(output), None if output_bar is None else _by_16(output_bar)
    products, scan = _backward(sizes, wanted, output_bar is not None, h_n_bar is not None)
    delta, begun = torch.empty_like(output), None if h_0 is None else torch.empty_like(h_0)
    given = output_bar, output, delta, h_n_bar, begun, x, h_0
    arrived, h, inside, more, first, of_x, initial = (
        0 if t is None else t.data_ptr() for t in given
    )
    ways = _ways(weights, sizes)
    scan(arrived, h, 0, 0, inside, 0, ways[0][1], 0, more, first, 0, 0, 0, _between(ways, x))

    own = sizes.H * x.itemsize  # bytes from one direction to the next, from a step, of a state
    step, state = sizes.N * sizes.D * own, sizes.N * own
    addresses: list[tuple[int, ...]] = []
    bars: list[Tensor | None] = [None] * (2 + len(weights))
    if wanted[0]:
        bars[0] = x_bar = torch.empty_like(x)
        addresses.append((inside, ways[0][0], ways[-1][0], x_bar.data_ptr(), *_NONE, *_NONE))
    if wanted[1] and h_0 is not None:
        bars[1] = h_0_bar = torch.empty_like(h_0)
        to = h_0_bar.data_ptr()
        for d, (_, weight, *_biases) in enumerate(ways):
            at = state * d
            addresses.append((first + at, weight, weight, to + at, *_NONE, *_NONE))
    if wanted[2]:
        bars[2:] = of_weights = [torch.empty_like(w) for w in weights]
        for d, (of_ih, of_hh, *biases) in enumerate(_ways(of_weights, sizes)):
            delta_t, past = inside + own * d, h + own * d + step * d
            addresses.append((delta_t, of_x, of_x, of_ih, *_NONE, *(biases or _NONE)))
            if h_0 is None:  # then the first step has nothing from before
                entering = past, past
                delta_t += step * (1 - d)
            else:
                entering = (past, initial + state) if d else (initial, past)
            addresses.append((delta_t, *entering, of_hh, *_NONE, *_NONE))
    if products is not None:
        products(addresses, x)
    return bars


# --- what goes by sizes ------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _forward(sizes: Sizes) -> tuple[Products, Call]:
    """What comes from x, a product for each direction; and the scan, in the same place."""
    rows, H_in, H, D = sizes.L * sizes.N, sizes.H_in, sizes.H, sizes.D
    from_x = Product(rows, H_in, H, (H_in, 1), (1, 1, H_in), D * H, H_in)
    sequence, state = _strides(sizes)
    first = state if sizes.initial else None
    scan = _scan(
        sizes, FORWARD, 2 * (D - 1),
        (sequence, None, None, None, sequence, None, (H, 1), first, None, state),
    )  # fmt: skip
    return Products([from_x] * D, sizes.dtype, sizes.device), scan


@lru_cache(maxsize=1024)
def _backward(
    sizes: Sizes, wanted: tuple[bool, bool, bool], of_output: bool, of_h_n: bool
) -> tuple[Products | None, Call]:
    """The scan of what reaches the inside of f, and the products with that.

    Args:
        of_output, of_h_n: whether such gradients arrive.
    """
    rows, N, H_in, H, D = sizes.L * sizes.N, sizes.N, sizes.H_in, sizes.H, sizes.D
    products = []
    if wanted[0]:  # the second direction's weight lies elsewhere
        products.append(Product(rows, D * H, H_in, (D * H, 1), (H_in, H_in, 1), H_in, H))
    if wanted[1] and sizes.initial:
        products += [Product(N, H, H, (H, 1), (H, H, 1), H, H)] * D
    for d in range(D * wanted[2]):
        delta, h = (1, D * H), D * H
        products.append(Product(H, rows, H_in, delta, (H_in, H_in, 1), H_in, rows))
        if not sizes.initial:
            products.append(Product(H, rows - N, H, delta, (h, h, 1), H, rows - N))
        elif d == 0:  # the states of h_0 come before
            products.append(Product(H, rows, H, delta, (H, h, 1), H, N))
        else:
            products.append(Product(H, rows, H, delta, (h, H, 1), H, rows - N))
    sequence, state = _strides(sizes)
    first, arrived = state if sizes.initial else None, sequence if of_output else None
    scan = _scan(
        sizes, BACK, 1,
        (arrived, sequence, None, None, sequence, None, (1, H), None, state if of_h_n else None,
         first),
    )  # fmt: skip
    return Products(products, sizes.dtype, sizes.device) if products else None, scan


def _scan(
    sizes: Sizes, mode: int, reverse: int, strides: tuple[tuple[int, ...] | None, ...]
) -> Call:
    return call_of(
        mode, sizes.nonlinearity, None, reverse, sizes.dtype, sizes.device, sizes.L, sizes.N,
        sizes.H, 2 if sizes.D == 2 else 0, (False, False, True, True), strides,
    )  # fmt: skip


def _strides(sizes: Sizes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of sequences and of states; two directions are groups."""
    N, H = sizes.N, sizes.H
    if sizes.D == 1:
        return (N * H, H, 1), (H, 1)
    return (N * 2 * H, 2 * H, H, 1), (H, N * H, 1)


# --- where things lie --------------------------------------------------------------------------

_NONE = 0, 0


def _ways(weights: Sequence[Tensor], sizes: Sizes) -> list[list[int]]:
    """The addresses of each direction's."""
    return directions([w.data_ptr() for w in weights], sizes.bias)


def _between(ways: list[list[int]], like: Tensor) -> int:
    """How many numbers lie between the weights of h of the first direction and of the last."""
    return (ways[-1][1] - ways[0][1]) // like.itemsize


def _by_16(x: Tensor) -> Tensor:
    """Contiguous, from where 16 bytes can be read at a time."""
    x = x.contiguous()
    return x.clone() if x.data_ptr() % 16 else x
