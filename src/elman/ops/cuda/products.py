"""The products of a small layer beside its scan, all in one launch (`products.cuh`).

A layer of few rows takes as long as it takes to ask torch for each product, sum and copy.
"""

from functools import lru_cache
from struct import Struct, pack
from typing import NamedTuple

import torch
from torch import Tensor

from elman.ops.cuda import compiled
from elman.ops.cuda.compiled import Launch
from elman.ops.cuda.plans import DTYPES

#: Up to so many multiplications the time to ask for them is what counts.
MOST = 2**30
#: And of so many rows of all steps, which a weight's gradient is a sum over.
MOST_ROWS = 2**16
#: Blocks that share out the inner dimension of a tile.
SPREAD = 8
#: Over so many steps of the inner dimension clusters share it out, each so many, up to 16 of them.
LONG, SHARE, _CLUSTERS = 2**14, 2048, 16
_SIDE, _THREADS = 64, 256
_SHARED = 4 * ((2 * 16 + _SIDE) * (_SIDE + 4) + _SIDE + 4)
#: Numbers that a cluster leaves of a tile.
_LEFT = _SIDE * _SIDE + _SIDE
#: `Job` of products.cuh: eight addresses, six strides, two addresses, five sizes, and room.
_JOB = Struct("16q5i4x")


class Rows(NamedTuple):
    """A matrix (K, N) whose first rows lie elsewhere than the rest, with columns side by side."""

    first: Tensor
    rest: Tensor


class Job(NamedTuple):
    """A product, as products.cuh is told of it.

    begin, end: what comes before the place for what clusters leave, and after it.
    tiles: of the result.
    clusters: that share out the inner dimension of each.
    """

    begin: tuple[int, ...]
    end: tuple[int, ...]
    tiles: int
    clusters: int


def job(
    a: Tensor,
    b: Tensor | Rows,
    c: Tensor,
    more: tuple[Tensor, ...] = (),
    sums: tuple[Tensor, ...] = (),
) -> Job:
    """What products.cuh needs to know of c = a b.

    Args:
        a, b, c: (M, K), (K, N) and (M, N); c with its columns side by side.
        more: none or two, (N,) each, to be added to every row of c.
        sums: none or two, (M,) each, where the sums of a over K go.
    """
    (M, K), N = a.shape, c.shape[1]
    first, rest = b if isinstance(b, Rows) else (b, b)
    many = first.shape[0] if isinstance(b, Rows) else K
    of_first, of_rest = first.stride(), rest.stride()
    added = (more[0].data_ptr(), more[1].data_ptr()) if more else (0, 0)
    summed = (sums[0].data_ptr(), sums[1].data_ptr()) if sums else (0, 0)
    clusters = min(_CLUSTERS, K // SHARE) if K > LONG else 1
    return Job(
        (a.data_ptr(), first.data_ptr(), rest.data_ptr(), c.data_ptr(), *added, *summed,
         *a.stride(), of_first[0], of_rest[0], of_first[1], c.stride(0)),
        (M, N, K, many, clusters), -(-M // _SIDE) * -(-N // _SIDE), clusters,
    )  # fmt: skip


def multiply(jobs: list[Job], like: Tensor) -> None:
    """Have them all done, of tensors that lie where `like` does and are of its dtype."""
    shared_out = sum(one.tiles for one in jobs if one.clusters > 1)
    left, tickets = 0, 0
    if shared_out:
        room = sum(one.tiles * one.clusters for one in jobs if one.clusters > 1)
        memory = like.new_empty(room * _LEFT, dtype=torch.float32)
        taken = like.new_zeros(shared_out, dtype=torch.int32)
        left, tickets = memory.data_ptr(), taken.data_ptr()
    packed, ends = [], list[int]()
    for one in jobs:
        packed.append(_JOB.pack(*one.begin, left, tickets, *one.end))
        ends.append(one.tiles * one.clusters + (ends[-1] if ends else 0))
        if one.clusters > 1:
            left += 4 * one.tiles * one.clusters * _LEFT
            tickets += 4 * one.tiles
    given = b"".join(packed) + pack(f"{len(jobs)}i", *ends)
    _kernel(DTYPES[like.dtype], len(jobs), like.device)(given, ends[-1])


@lru_cache(maxsize=256)
def _kernel(dtype: int, many: int, device: torch.device) -> Launch:
    source = compiled.Source(
        {"DTYPE": dtype, "MANY": many, "SPREAD": SPREAD},
        ("numbers.cuh", "products.cuh"),
        "multiply",
    )
    return compiled.loaded(source, SPREAD, _THREADS, _SHARED, device)
