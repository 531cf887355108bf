"""What the kernel of a scan computes, and its text for that."""

from struct import Struct
from typing import NamedTuple

from elman.ops.cuda.compiled import Source
from elman.ops.cuda.plans import Plan

#: What it computes: see scan.cuh.
FORWARD, LINEAR, BACK = range(3)
#: `Given` of given.cuh: six sequences of an address and three strides, the weight likewise, three
#: states of an address and two strides, offsets, lengths; then L, N, tiles, reverse.
GIVEN = Struct("39q4i")
_PARTS = ("numbers.cuh", "functions.cuh", "given.cuh", "weight.cuh", "scan.cuh")


class Kind(NamedTuple):
    """A kernel's constants beside those of its plan; `BOUND` is none where it is not bounded."""

    DTYPE: int
    H: int
    MODE: int
    F: int
    BOUND: float | None
    HAS_G: bool
    HAS_Q: bool
    HAS_E: bool
    HAS_Y: bool
    PACKED: bool
    ALIGNED: bool

    @property
    def sequences(self) -> int:
        """That a step takes its inputs from."""
        return 1 + (self.HAS_G or self.MODE == BACK) + self.HAS_E + self.HAS_Q


def source(kind: Kind, cut: Plan) -> Source:
    """The text of a kernel."""
    bound = kind.BOUND
    constants = {
        **kind._asdict(), **cut._asdict(), "BOUNDED": bound is not None, "BOUND": bound or 0.0,
        "FORWARD": FORWARD, "LINEAR": LINEAR, "BACK": BACK,
    }  # fmt: skip
    return Source(constants, _PARTS, "scan")
