"""What the kernel of a scan computes, and its text for that."""

from typing import NamedTuple

from elman.ops.cuda.compiled import Source
from elman.ops.cuda.plans import Plan

#: What it computes: see scan.cuh.
FORWARD, LINEAR, BACK = range(3)
#: How the weight lies: anyhow; or what goes into a unit side by side, and 16 bytes can be read at a
#: time; or what comes from one side by side.
ANYHOW, BY_ROWS, BY_COLUMNS = range(3)
_PARTS = ("numbers.cuh", "functions.cuh", "given.cuh", "weight.cuh", "scan.cuh")


class Kind(NamedTuple):
    """A kernel's constants beside those of its plan.

    BOUND: of what f is given; none where there is none.
    RAGGED: whether the rows of a dense sequence have lengths.
    ALIGNED: whether all sequences can be read and written 4 bytes at a time.
    LIES: how the weight does.
    """

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
    RAGGED: bool
    ALIGNED: bool
    LIES: int

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
        "BY_ROWS": BY_ROWS, "BY_COLUMNS": BY_COLUMNS,
    }  # fmt: skip
    return Source(constants, _PARTS, "scan")
