"""The scans as one CUDA kernel, for NVIDIA GPUs whose blocks form clusters: an H100 or H200.

A cluster of up to 16 blocks keeps the whole weight, each block its part, and has some rows of the
batch for all their steps (`scan.cuh`); `plans.py` says how many of each. Nothing is asked of the
host meanwhile, sums are float32 and added in a fixed order, and so are states from step to step;
only what enters the product and what is written is rounded to the dtype.
"""

import sys

import torch
from torch import Tensor

from elman.ops import aten
from elman.ops.cuda import compiled
from elman.ops.cuda.calls import call_of
from elman.ops.cuda.kinds import FORWARD, LINEAR
from elman.ops.cuda.plans import DTYPES, fits
from elman.ops.on_device import launches, lies


def serves(device: torch.device, dtype: torch.dtype, H: int | None = None) -> str | None:
    """Why this backend cannot serve such tensors, in words; None where it can."""
    if device.type != "cuda":
        return f"its kernel is for NVIDIA GPUs, not for {device.type}"
    if dtype not in DTYPES:
        return f"it has float32, bfloat16 and float16, not {dtype}"
    if sys.platform == "win32":
        return "it is launched by a library of Linux's driver"
    if torch.version.hip:
        return "its kernel is for NVIDIA GPUs, not for AMD's"
    if not torch.cuda.is_available():
        return "torch finds no GPU here"
    capability = torch.cuda.get_device_capability(device)
    if capability not in ((9, 0), (10, 0), (10, 3)):
        has = f"{capability[0]}.{capability[1]}"
        return f"it needs clusters of 16 blocks, as compute capability 9.0 has; this GPU has {has}"
    if compiled.problem() is not None:
        return compiled.problem()
    if H is not None and not fits(H, dtype, compiled.at_once(device)):
        return f"a weight of {H} by {H} in {dtype} does not fit in a cluster of this GPU's blocks"
    return None


def by_name(device: torch.device, dtype: torch.dtype, H: int | None = None) -> str | None:
    """Why it is not chosen unless asked for by name, in words; None where it may be."""
    capability = torch.cuda.get_device_capability(device)
    if capability != (9, 0):
        has = f"{capability[0]}.{capability[1]}"
        return f"ask for it by name: it has not been tried on compute capability {has}"
    return None


# as running.py: torch.compile runs it where it meets it, for it follows no import
by_name._dynamo_marked_constant = True  # type: ignore[attr-defined]
serves._dynamo_marked_constant = True  # type: ignore[attr-defined]


def scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    nonlinearity: str = "tanh",
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """As `reference.scan`."""
    if not launches(a, weight_hh, h_0):
        return aten.scan(a, weight_hh, h_0, nonlinearity, batch_sizes, reverse)
    return run(
        FORWARD, a, weight_hh, h_0, f=nonlinearity, batch_sizes=batch_sizes, reverse=reverse
    )[0]


def gated_scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    nonlinearity: str = "tanh",
    g: Tensor | None = None,
    q: Tensor | None = None,
    e: Tensor | None = None,
    bound: float | None = None,
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """As `reference.gated_scan`; y is empty where it is h."""
    if not launches(a, weight_hh, h_0, g, q, e):
        return aten.gated_scan(
            a, weight_hh, h_0, nonlinearity, g, q, e, bound, batch_sizes, reverse
        )
    h, y = run(FORWARD, a, weight_hh, h_0, g, q, e, nonlinearity, bound, batch_sizes, reverse)
    return h, a.new_empty(0) if y is None else y


def linear_scan(
    x: Tensor,
    weight: Tensor,
    s_0: Tensor,
    p: Tensor | None = None,
    q: Tensor | None = None,
    e: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """As `reference.linear_scan`."""
    if not launches(x, weight, s_0, p, q, e):
        return aten.linear_scan(x, weight, s_0, p, q, e, batch_sizes, reverse)
    return run(LINEAR, x, weight.mT, s_0, p, q, e, batch_sizes=batch_sizes, reverse=reverse)[0]


def run(
    mode: int,
    x: Tensor | None,
    weight: Tensor,
    first: Tensor | None,
    g: Tensor | None = None,
    q: Tensor | None = None,
    e: Tensor | None = None,
    f: str = "identity",
    bound: float | None = None,
    batch_sizes: Tensor | None = None,
    reverse: bool | int = False,
    *,
    more: Tensor | None = None,
    last: Tensor | None = None,
    out: Tensor | None = None,
    lengths: Tensor | None = None,
    begun: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """All that the kernel does: the states, and y where there is one that is not the state.

    Args:
        x: (L, N, H) or packed (rows, H), with groups G before H. Without it, as of BACK may be, g
            has the shape.
        weight: (out, in), as W; of a linear scan Mᵀ.
        first: the state there is before, (N, H), or with groups (N, G, H), or zero.
        reverse: of all groups, or a bit for each.
        more: of BACK, what is added to x at each row's first step, in the shape of the states.
        last: where the last states are to be written, in that shape; as `more` or `first` tells N.
        out: where the states are; x itself may be. Default: a new tensor.
        lengths: of the rows of a dense x, (N,), int32 on its device; what lies beyond is neither
            read nor written.
        begun: an int32 that becomes 1 when the last rows are begun with. Default: none.
    """
    like = g if x is None else x
    assert like is not None
    if out is None:
        out = torch.empty_like(like, memory_format=torch.contiguous_format)
    packed = batch_sizes is not None
    N = like.shape[1] if batch_sizes is None else _rows(first, more, last)
    H, groups = weight.shape[-1], weight.shape[0] if weight.dim() == 3 else 0
    carry = mode == FORWARD and (g is not None or e is not None)
    y = torch.empty_like(out) if carry else None
    if N * weight.numel() == 0:
        return out, y
    L, offsets = like.shape[0], 0
    if batch_sizes is not None:
        places = lies(batch_sizes, N, like.device)
        L, offsets, lengths = len(batch_sizes), places.offsets.data_ptr(), places.lengths
    x, g, q, e, first, more = map(_side_by_side, (x, g, q, e, first, more))
    tensors = x, g, q, e, out, y, weight, first, more, last
    at = [0 if t is None else t.data_ptr() for t in tensors]
    between = weight.stride(0) if groups else 0
    by_16 = not (at[6] % 16 or between * weight.itemsize % 16)
    by_4 = like.dtype.itemsize == 4 or not any(address % 4 for address in at[:6])
    call = call_of(
        mode, f, bound, -int(reverse) if isinstance(reverse, bool) else reverse, like.dtype,
        like.device, L, N, H, groups,
        (packed, lengths is not None and not packed, by_4, by_16),
        tuple([None if t is None else t.stride() for t in tensors]),
    )  # fmt: skip
    ends, telling = (0 if t is None else t.data_ptr() for t in (lengths, begun))
    call(*at, offsets, ends, telling, between)
    return out, y


def _side_by_side(x: Tensor | None) -> Tensor | None:
    """With the units of a row side by side."""
    return x if x is None or x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def _rows(*states: Tensor | None) -> int:
    """How many rows there are, from the states of each."""
    return next(s.shape[0] for s in states if s is not None)
