"""The scans as one Triton kernel each, for NVIDIA GPUs: the loop over time runs on the card.

A program has some rows of the batch, of one group, for all their steps; where H is small enough it
reads the weight once and keeps it (`triton_kernels.py`). It asks nothing of the host meanwhile, and
adds in a fixed order. They are for GPUs that the kernel of `elman.ops.cuda` is not for: where they
keep the weight they have been timed on an H100, at several times torch's own operators.

    TRITON_INTERPRET=1 python -c "..."      to have them interpreted on the CPU, for looking inside
"""

import os
import sys
from contextlib import AbstractContextManager
from importlib import import_module, util
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elman.ops import aten
from elman.ops.activations import NUMBERS
from elman.ops.on_device import launches, lies

_KERNELS = "elman.ops.triton_kernels"
_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
#: The largest H whose weight a program keeps: in 227 KB of shared memory, or in registers.
_KEPT = {torch.bfloat16: 256, torch.float16: 256, torch.float32: 128, torch.float64: 64}
#: Of a program that reads its weight anew at every step, how much of it at a time: (out, in).
_TILE = {
    torch.bfloat16: (128, 64),
    torch.float16: (128, 64),
    torch.float32: (128, 16),
    torch.float64: (64, 32),
}
#: So many programs can run side by side, one on each of the multiprocessors of an H100 or H200.
_PROGRAMS = 132
#: What lies so many numbers apart is counted in 64 bits.
_FAR = 2**31


class Plan(NamedTuple):
    """How a scan is cut up.

    units: of the weight that a program holds at a time: rows, padded to a power of two.
    others: columns; none where it keeps the whole of it.
    rows: of the batch that a program has; a single one is summed up without tensor cores.
    warps: a program has.
    """

    units: int
    others: int | None
    rows: int
    warps: int


def plan(H: int, rows: int, dtype: torch.dtype) -> Plan:
    """The plan for H units and so many rows in all groups.

    >>> plan(256, 64, torch.bfloat16)
    Plan(units=256, others=None, rows=8, warps=16)
    >>> plan(1024, 64, torch.bfloat16)
    Plan(units=128, others=64, rows=16, warps=8)
    """
    if _KEPT[dtype] < H:
        return Plan(
            *_TILE[dtype], 16 if dtype.itemsize == 2 else 8, 4 if dtype.itemsize == 8 else 8
        )
    units = max(16, 1 << (H - 1).bit_length())
    if dtype == torch.float64:
        return Plan(units, None, 8, min(4, units // 16))
    if dtype == torch.float32 and rows <= _PROGRAMS:
        return Plan(units, None, 1, units // 16)
    return Plan(units, None, 8 if rows <= 8 * _PROGRAMS else 16, units // 16)


# --- whom it serves --------------------------------------------------------------------------


def interpreted() -> bool:
    """Whether the kernels run in Triton's interpreter.

    That is decided once, when they are imported: by TRITON_INTERPRET, or by
    `triton.knobs.runtime.interpret`, which may be set for that moment alone.
    """
    asked = os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on", "y")
    if _KERNELS not in sys.modules and not asked:
        return False  # so that nobody waits for Triton who does not use it
    return bool(_kernels().INTERPRETED)


def serves(device: torch.device, dtype: torch.dtype, H: int | None = None) -> str | None:
    """Why this backend cannot serve such tensors, in words; None where it can."""
    if dtype not in _DTYPES:
        return f"{dtype} is not a real floating-point type it has kernels for"
    if device.type not in ("cpu", "cuda"):
        return f"its kernels are for NVIDIA GPUs, not for {device.type}"
    if not util.find_spec("triton"):
        return "triton is not installed: pip install 'elman[triton]', on Linux"
    if interpreted():
        return None
    if device.type == "cpu":
        return "on the CPU its kernels run in Triton's interpreter only: set TRITON_INTERPRET=1"
    if torch.version.hip:
        return "its kernels are for NVIDIA GPUs, not for AMD's"
    capability = torch.cuda.get_device_capability(device)
    if capability < (8, 0):
        return f"it needs compute capability 8.0, this GPU has {capability[0]}.{capability[1]}"
    return None


# as running.py: torch.compile runs it where it meets it, for it follows no import
serves._dynamo_marked_constant = True  # type: ignore[attr-defined]


def by_name(device: torch.device, dtype: torch.dtype, H: int | None = None) -> str | None:
    """Why it is not chosen unless asked for by name, in words; None where it may be."""
    if device.type == "cpu":
        return "an interpreter is slow"
    if dtype == torch.float64:
        return "ask for it by name: in float64 its kernels have not been timed"
    if H is not None and _KEPT[dtype] < H:
        return f"ask for it by name: to read a weight of {H} by {H} anew at every step is slow"
    return None


def _kernels() -> ModuleType:
    """The kernels, and with them Triton, imported when first needed."""
    return import_module(_KERNELS)


# --- the scans -------------------------------------------------------------------------------


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
    h, _ = _run(a, weight_hh, h_0, (None, None, None), nonlinearity, None, batch_sizes, reverse)
    return h


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
    return _run(a, weight_hh, h_0, (g, q, e), nonlinearity, bound, batch_sizes, reverse)


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
    s, _ = _run(x, weight.mT, s_0, (p, q, e), None, None, batch_sizes, reverse)
    return s


def _run(
    x: Tensor,
    weight: Tensor,
    s_0: Tensor,
    factors: tuple[Tensor | None, Tensor | None, Tensor | None],
    nonlinearity: str | None,
    bound: float | None,
    batch_sizes: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    """All three: the states, and y where there is one that is not the state.

    Args:
        weight: (out, in), as W; of a linear scan Mᵀ.
        nonlinearity: None for the linear scan.
    """
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    g, q, e = factors
    carry = nonlinearity is not None and (g is not None or e is not None)
    y = torch.empty_like(out) if carry else x.new_empty(0)
    if out.numel() == 0:
        return out, y
    N, H = s_0.shape[0], s_0.shape[-1]
    groups = 1 if weight.dim() == 2 else weight.shape[0]
    kernels, cut = _kernels(), plan(H, N * groups, x.dtype)
    tl = kernels.tl
    tiles = -(-N // cut.rows)
    packed = batch_sizes is not None
    offsets, lengths = (None, None) if batch_sizes is None else lies(batch_sizes, N, x.device)
    weight_strides = _strides(weight, 2, groups=weight.dim() == 3)
    initial_strides = s_0.stride(0), *_strides(s_0, 1, weight.dim() == 3)
    sequences = [
        None if c is None else _of_sequence(c, weight.dim() == 3, packed) for c in (x, g, q, e, out)
    ]
    reach = [(N - 1) * c[1] + (H - 1) * c[3] for c in sequences if c is not None]
    reach += [(H - 1) * sum(weight_strides[1:]), (N - 1) * initial_strides[0] + H]
    wide = tl.float64 if x.dtype == torch.float64 else tl.float32
    of_x, of_g, of_q, of_e, of_out = sequences
    arguments: list[Any] = [
        x, of_x, weight, weight_strides, s_0, initial_strides, g, of_g, q, of_q, e, of_e,
        out, y if carry else None, of_out,
    ]  # fmt: skip
    choices: dict[str, Any] = {
        "F": kernels.LINEAR if nonlinearity is None else NUMBERS[nonlinearity],
        "BOUND": None if bound is None else float(bound),
        "REVERSE": reverse,
        "PRECISION": _precision(),
        "WIDE": wide,
        # what lies within a step can mostly be counted in 32 bits, which spares registers
        "INDEX": tl.int64 if max(reach) >= _FAR else tl.int32,
        "UNITS": cut.units,
        "ROWS": cut.rows,
        "num_warps": cut.warps,
    }
    L = x.shape[0] if batch_sizes is None else len(batch_sizes)
    kernel = kernels.resident
    choices["FULL"] = H % cut.units == 0 and H % (cut.others or 1) == 0
    if cut.others is not None:
        kernel, choices["OTHERS"] = kernels.streamed, cut.others
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        arguments.append(x.new_empty(tiles * groups * 2 * cut.rows * H, dtype=dtype))
    with _surroundings(x.device):
        kernel[(tiles * groups,)](*arguments, offsets, lengths, L, N, H, tiles, **choices)
    return out, y


def _surroundings(device: torch.device) -> AbstractContextManager[Any]:
    """Kernels run on the current device. NumPy, which interprets, need not warn of infinity."""
    import numpy as np

    return np.errstate(all="ignore") if interpreted() else torch.cuda.device(device)


def _of_sequence(x: Tensor, groups: bool, packed: bool) -> tuple[int, int, int, int]:
    """Its strides: of steps, rows, groups and units. Packed, a step's come from its offset."""
    step = (0,) if packed else (x.stride(0),)
    row = x.stride(0 if packed else 1)
    return *step, row, *_strides(x, 1, groups)  # type: ignore[return-value]


def _strides(x: Tensor, units: int, groups: bool) -> tuple[int, ...]:
    """Of the groups, zero where there are none, and of the last dimensions."""
    of_groups = x.stride(-units - 1) if groups else 0
    return of_groups, *x.stride()[-units:]


def _precision() -> str:
    """Of products of float32: TF32 where torch's own are allowed it."""
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"
