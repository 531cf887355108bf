"""What the scan's kernel is asked for: found once for calls that are alike, but for addresses.

A short scan takes no longer than to find it out.
"""

from functools import lru_cache
from struct import Struct
from typing import NamedTuple

import torch

from elman.ops.activations import NUMBERS
from elman.ops.cuda import compiled
from elman.ops.cuda.compiled import Launch
from elman.ops.cuda.kinds import ANYHOW, BACK, BY_COLUMNS, BY_ROWS, Kind, source
from elman.ops.cuda.plans import DTYPES, Plan, plan

#: `At` of given.cuh.
_AT = Struct("14q")
#: `Given` after that: six sequences of three strides, the weight and three states of two strides;
#: then L, N, tiles, reverse.
_REST = Struct("26q4i")


class Call(NamedTuple):
    """A launch of a kernel, all but addresses.

    rest: of what the kernel is given, after those.
    """

    rest: bytes
    clusters: int
    launch: Launch

    def __call__(self, *addresses: int) -> None:
        """Have it run.

        Args:
            addresses: of x, g, q, e, out, y, the weight, first, more, last, offsets, lengths and
                begun, each as of `run`, 0 where there is none; and how many numbers lie between
                the weights of one group and the next.
        """
        self.launch(_AT.pack(*addresses) + self.rest, self.clusters)


@lru_cache(maxsize=4096)
def call_of(
    mode: int,
    f: str,
    bound: float | None,
    reverse: int,
    dtype: torch.dtype,
    device: torch.device,
    L: int,
    N: int,
    H: int,
    groups: int,
    lies: tuple[bool, bool, bool, bool],
    strides: tuple[tuple[int, ...] | None, ...],
) -> Call:
    """What `run` asks for.

    Args:
        reverse: a bit for each group.
        groups: 0 without any, where tensors have no dimension for them.
        lies: whether the sequences are packed; whether the rows of dense ones have lengths; whether
            all of them begin where 4 bytes can be read at a time, and every weight where 16.
        strides: of x, g, q, e, out, y, the weight, first, more and last; or None.
    """
    packed, ragged, by_4, by_16 = lies
    x, g, q, e, out, y, weight, *states = strides
    assert weight is not None, "every kind has one"
    numbers: list[int] = []
    for of in (x, g, q, e, out, y):
        step = 0 if of is None or packed else of[0]
        numbers += (0, 0, 0) if of is None else (step, of[not packed], of[-2] if groups else 0)
    aligned = dtype.itemsize == 4 or (by_4 and not (H % 2 or any(n % 2 for n in numbers)))
    out_of, into = weight[-2:]
    apart = 16 // dtype.itemsize
    weight_lies = BY_COLUMNS if out_of == 1 else ANYHOW
    if into == 1 and by_16 and not (H % 4 or out_of % apart):
        weight_lies = BY_ROWS
    numbers += out_of, into
    for of in states:
        numbers += (0, 0) if of is None else (of[0], of[1] if groups else 0)
    has = (g is not None and mode != BACK, q is not None, e is not None, y is not None)
    kind = Kind(
        DTYPES[dtype], H, mode, NUMBERS[f], None if bound is None else float(bound), *has, packed,
        ragged, aligned, weight_lies,
    )  # fmt: skip
    cut = plan(H, N, max(1, groups), dtype, compiled.at_once(device))
    assert cut is not None, "select.py asks whether there is one"
    tiles = -(-N // cut.ROWS)
    rest = _REST.pack(*numbers, L, N, tiles, reverse)
    return Call(rest, tiles * max(1, groups), launch_of(kind, cut, device))


@lru_cache(maxsize=4096)
def launch_of(kind: Kind, cut: Plan, device: torch.device) -> Launch:
    """What launches a kernel; the same for all calls that are cut up alike."""
    shared = cut.shared(kind.DTYPE == 0, kind.sequences)
    return compiled.loaded(source(kind, cut), cut.BLOCKS, cut.threads, shared, device)
