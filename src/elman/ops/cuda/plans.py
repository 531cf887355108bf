"""How a scan is cut up for a GPU: blocks, rows and warps, by what a step of each would cost.

A cluster of blocks has some rows of the batch for all their steps. Each block has some of the units
and keeps its part of the weight: so the more blocks, the less each has to do and the more they have
to wait for each other; and the more rows a cluster has, the longer it takes, but all the clusters
have to fit on the card. `plan` weighs these.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch

#: The number that scan.cuh has for each dtype.
DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
#: Bytes of shared memory that a block may have on compute capability 9.0 and 10.0, but for some.
_SHARED = 226 * 1024
#: The blocks of a cluster: over 8 a GPU may, and an H100 or H200 does.
_BLOCKS = 16
#: So many clusters of 1, 2, 3 ... blocks an H100 runs at once, as its driver says; others may more.
AT_ONCE = (132, 66, 39, 30, 22, 17, 15, 15, 9, 7, 7, 7, 7, 7, 7, 7)


class Plan(NamedTuple):
    """The constants of a kernel, beside those that the call is made of.

    BLOCKS: of a cluster.
    UNITS: of a block; a multiple of 16, in float32 of 32.
    ROWS: of the batch that a cluster has; in two bytes over 8 a multiple of 8.
    WARPS: of a block.
    SLICES: of the inner dimension, which different warps have.
    TILES: of 16 units that a warp has; in float32 units of a lane.
    KEPT: steps of the inner dimension whose weight is in registers: of 16, in float32 of 4.
    AHEAD: steps that inputs are asked for before they are needed.
    """

    BLOCKS: int
    UNITS: int
    ROWS: int
    WARPS: int
    SLICES: int
    TILES: int
    KEPT: int
    AHEAD: int

    @property
    def threads(self) -> int:
        """Of a block."""
        return 32 * self.WARPS

    @property
    def inner(self) -> int:
        """The inner dimension as it is filled up."""
        return self.BLOCKS * self.UNITS

    def shared(self, wide: bool, sequences: int = 4) -> int:
        """Bytes of shared memory, as scan.cuh lays them out."""
        row = (self.inner + (4 if wide else 8)) * (4 if wide else 2)
        tall = self.ROWS if wide else _whole(self.ROWS, 8)
        sums = 4 * self.SLICES * tall * (self.UNITS + 4)
        far = self.inner // (4 if wide else 16) // self.SLICES - self.KEPT
        lanes = self.SLICES * self.UNITS if wide else self.WARPS * self.TILES * 32
        words = self.UNITS * self.ROWS // (1 if wide else 2)
        ahead = 4 * self.AHEAD * sequences * _whole(words, self.threads)
        gates = 16
        before = _whole(2 * self.ROWS * row) + _whole(sums) + _whole(ahead) + gates
        return before + 16 * far * lanes


def _whole(size: int, of: int = 16) -> int:
    return -(-size // of) * of


@lru_cache(maxsize=1024)
def plan(
    H: int, N: int, groups: int, dtype: torch.dtype, at_once: tuple[int, ...] = AT_ONCE
) -> Plan | None:
    """The plan for H units and N rows in each of so many groups; None where none fits.

    Args:
        at_once: how many clusters of 1, 2, 3 ... blocks a GPU runs at once.

    >>> plan(1024, 64, 1, torch.bfloat16)
    Plan(BLOCKS=8, UNITS=128, ROWS=5, WARPS=8, SLICES=4, TILES=4, KEPT=11, AHEAD=4)
    >>> plan(4096, 64, 1, torch.bfloat16) is None
    True
    """
    wide = dtype == torch.float32
    possible = (
        p for p in _plans(H, wide) if p.shared(wide) <= _SHARED and at_once[p.BLOCKS - 1] > 0
    )

    def of_all(p: Plan) -> float:
        waves = -(-groups * -(-N // p.ROWS) // at_once[p.BLOCKS - 1])
        return waves * cost(p, wide)

    return min(possible, key=of_all, default=None)


def fits(H: int, dtype: torch.dtype, at_once: tuple[int, ...] = AT_ONCE) -> bool:
    """Whether there is a plan for H units, on a GPU that runs so many clusters."""
    return plan(H, 1, 1, dtype, at_once) is not None


def _plans(H: int, wide: bool) -> Iterator[Plan]:
    """All that may be worth it."""
    grain = 32 if wide else 16
    for blocks in range(1, _BLOCKS + 1):
        units = _whole(-(-H // blocks), grain)
        if -(-H // units) != blocks or units > (128 if wide else 256):
            continue
        part = units // (4 if wide else 16)
        for tiles in (units // 32,) if wide else (1, 2, 4):
            across = 1 if wide else units // 16 / tiles
            if across != int(across):
                continue
            # few warps with many registers each, where there is others' work to wait for anyway
            warps = max(8, int(across))
            if wide and (units < 64 or (units == 128 and blocks == 1)):
                warps = 4 if H > 32 else 2
            slices = next(s for s in (8, 4, 2, 1) if s * across <= warps and part % s == 0)
            warps = slices * int(across)
            if warps > 16 or (blocks > 1 and warps < 4):
                continue  # more than there may be, or too few to wait for anything
            for rows in range(1, 9) if wide else (*range(1, 9), 16, 24, 32):
                sums = 0 if wide else 4 * max(4, tiles * -(-rows // 8)) + _whole(rows, 8)
                registers = (160 if wide else 200) - sums - (0 if warps <= 8 else 112)
                kept = min(blocks * part // slices, registers // 4 // tiles)
                if kept > 0:
                    yield Plan(blocks, units, rows, warps, slices, tiles, kept, 4)


def cost(p: Plan, wide: bool) -> float:
    """Nanoseconds that a step of a cluster takes on an H200, about; fitted to what it took."""
    size = 4 if wide else 2
    each = -(-p.UNITS * p.ROWS // (1 if wide else 2) // p.threads)
    far = p.UNITS * (p.inner - (4 if wide else 16) * p.KEPT * p.SLICES) * size
    if wide:
        product = p.UNITS * p.inner * p.ROWS / 128 * 0.477 + p.ROWS * p.inner / 4 * 1.08
        begun = 106 if p.BLOCKS > 1 else 0
        return begun + 77 * each + product + 0.0021 * far + 20 * p.SLICES
    columns = -(-p.ROWS // 8)
    entering = p.WARPS // p.SLICES * columns * p.inner  # what enters, as often as it is read
    sums = p.SLICES * (8 * columns + p.ROWS) * p.UNITS * 4
    product = p.UNITS // 16 * (p.inner // 16) * columns * 0.6 + entering * 0.054 + sums * 0.0036
    sent = p.ROWS * p.UNITS * (p.BLOCKS - 1) * size / 16
    begun = 280 if p.BLOCKS > 1 else 157
    return begun + 109 * each + product + 0.003 * far + 0.51 * sent
