"""Some matrix products in one launch (`products.cuh`), for a small layer: `small.py`."""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct, pack
from typing import NamedTuple

import torch
from torch import Tensor

from elman.ops.cuda import compiled
from elman.ops.cuda.compiled import Launch
from elman.ops.cuda.plans import DTYPES

#: Blocks that share out the inner dimension of a tile.
SPREAD = 8
#: Over so many steps of the inner dimension clusters share it out, each so many, up to 16 of them.
LONG, SHARE, _CLUSTERS = 2**14, 2048, 16
#: From so many tiles on each block has one to itself.
ALONE = 512
_SIDE, _THREADS = 64, 256
_SHARED = 4 * ((2 * 16 + _SIDE) * (_SIDE + 4) + _SIDE + 4)
#: Numbers that a cluster leaves of a tile.
_LEFT = _SIDE * _SIDE + _SIDE
#: `Job` of products.cuh: ten addresses; and six strides, five sizes, and room.
_AT, _REST = Struct("10q"), Struct("6q5i4x")


class Product(NamedTuple):
    """A product c = a b but for where it lies, with c's columns side by side.

    M, K, N: of (M, K) and (K, N).
    a: how far apart its rows and its columns are.
    b: how far apart its first rows, its other rows and its columns are.
    c: how far apart its rows are.
    first: how many rows of b are the first, which lie elsewhere than the others.
    """

    M: int
    K: int
    N: int
    a: tuple[int, int]
    b: tuple[int, int, int]
    c: int
    first: int

    @property
    def tiles(self) -> int:
        """Of the result."""
        return -(-self.M // _SIDE) * -(-self.N // _SIDE)

    @property
    def clusters(self) -> int:
        """That share out the inner dimension of each tile; 0 where each block has one to itself."""
        if self.tiles >= ALONE:
            return 0
        return min(_CLUSTERS, self.K // SHARE) if self.K > LONG else 1

    @property
    def launched(self) -> int:
        """Clusters for all tiles."""
        return self.tiles * self.clusters if self.clusters else -(-self.tiles // SPREAD)


class Products:
    """Some products of tensors on a device, which want addresses."""

    def __init__(
        self, products: Sequence[Product], dtype: torch.dtype, device: torch.device
    ) -> None:
        self.rests, ends = list[bytes](), list[int]()
        #: where each has its part of what clusters leave, and of their tickets, in bytes
        self.rooms, room, tickets = list[tuple[int, int]](), 0, 0
        for p in products:
            sizes = p.M, p.N, p.K, p.first, p.clusters
            self.rests.append(_REST.pack(*p.a, p.b[0], p.b[1], p.b[2], p.c, *sizes))
            ends.append(p.launched + (ends[-1] if ends else 0))
            self.rooms.append((4 * room * _LEFT, 4 * tickets))
            if p.clusters > 1:
                room, tickets = room + p.tiles * p.clusters, tickets + p.tiles
        self.room, self.tickets, self.clusters = room * _LEFT, tickets, ends[-1]
        self.ends = pack(f"{len(ends)}i{4 * (len(ends) % 2)}x", *ends)  # as C fills it up
        self.launch = _kernel(DTYPES[dtype], len(ends), device)

    def __call__(self, addresses: Sequence[tuple[int, ...]], like: Tensor) -> None:
        """Have them all done.

        Args:
            addresses: of each a, b's first rows and the others, c; two, or 0, of what is (N,) and
                added to every row of c; two, or 0, of (M,) where the sums of a over K go.
            like: a tensor that lies where they do.
        """
        left, tickets = 0, 0
        if self.tickets:
            memory = like.new_empty(self.room, dtype=torch.float32)
            taken = like.new_zeros(self.tickets, dtype=torch.int32)
            left, tickets = memory.data_ptr(), taken.data_ptr()
        parts = list[bytes]()
        for at, rest, (a, b) in zip(addresses, self.rests, self.rooms, strict=True):
            parts += _AT.pack(*at, left + a, tickets + b), rest
        self.launch(b"".join((*parts, self.ends)), self.clusters)


@lru_cache(maxsize=256)
def _kernel(dtype: int, many: int, device: torch.device) -> Launch:
    source = compiled.Source(
        {"DTYPE": dtype, "MANY": many, "SPREAD": SPREAD},
        ("numbers.cuh", "products.cuh"),
        "multiply",
    )
    return compiled.loaded(source, SPREAD, _THREADS, _SHARED, device)
