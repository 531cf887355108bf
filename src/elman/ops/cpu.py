"""The scans in compiled kernels, for the CPU: csrc/ of the source, loaded as torch operators.

float32 and float64 are the kernels' own; in bfloat16 and float16 a scan is computed in float32
and rounded once at the end of it.
"""

import ctypes
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elman.ops.activations import NUMBERS

_PLACE = Path(__file__).with_name("_kernels.dylib" if sys.platform == "darwin" else "_kernels.so")
#: The dtypes with kernels of their own.
OWN = (torch.float32, torch.float64)
#: Those that are computed in float32.
THROUGH_FLOAT = (torch.bfloat16, torch.float16)


@functools.cache
def problem() -> str | None:
    """Why there are no kernels here, in words; None where they are loaded."""
    if not _PLACE.exists():
        note = _PLACE.with_suffix(".txt")
        why = note.read_text(encoding="utf-8").strip() if note.exists() else "not built yet"
        return f"{why}; with a C++ compiler and torch there, install elman once more"
    try:
        torch.ops.load_library(str(_PLACE))
    except OSError as error:
        return f"the compiled kernels do not load with torch {torch.__version__}: {error}"
    return None


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded library, for what is called without torch."""
    if problem() is not None:
        raise RuntimeError(str(problem()))
    kernels = ctypes.CDLL(str(_PLACE))
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    kernels.elman_instruction_set.restype = ctypes.c_char_p
    kernels.elman_stream_open.restype = pointer
    kernels.elman_stream_open.argtypes = [
        ctypes.c_int, number, ctypes.c_int, number, pointer, pointer,
    ]  # fmt: skip
    kernels.elman_draw_mask.restype = None
    kernels.elman_draw_mask.argtypes = [ctypes.c_uint64, ctypes.c_int32, number, pointer]
    for function, arguments in (("step", 3), ("state", 3), ("close", 1)):
        kernel = getattr(kernels, f"elman_stream_{function}")
        kernel.restype, kernel.argtypes = None, [pointer] * arguments
    return kernels


def instruction_set() -> str:
    """Which instructions the kernels use on this machine: "avx512", "avx2" or "plain"."""
    return str(library().elman_instruction_set().decode())


def use_instruction_set(name: str) -> None:
    """Use other kernels than the fastest, for comparing them.

    Raises:
        ValueError: this machine or this build has none of that name.
    """
    if not library().elman_use_instruction_set(name.encode()):
        raise ValueError(f"no kernels named {name!r} run here; {instruction_set()!r} do")


def draw_mask(key: int, edge: int, to: Tensor) -> None:
    """Into contiguous bools, true where a draw is at least `edge`: `elman.nn.masks` says which."""
    library().elman_draw_mask(key, edge, to.numel(), to.data_ptr())


def serves(device: torch.device, dtype: torch.dtype, H: int | None = None) -> str | None:
    """Why this backend cannot serve such tensors, in words; None where it can."""
    if device.type != "cpu":
        return f"its kernels are for the CPU, not for {device.type}"
    if dtype not in OWN and dtype not in THROUGH_FLOAT:
        return f"{dtype} is not a real floating-point type it has kernels for"
    return problem()


def scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    nonlinearity: str = "tanh",
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """As `reference.scan`."""
    if a.dtype in THROUGH_FLOAT:
        states = scan(a.float(), weight_hh.float(), h_0.float(), nonlinearity, batch_sizes, reverse)
        return states.to(a.dtype)
    number = NUMBERS[nonlinearity]
    return _run(torch.ops.elman.scan.default, a, weight_hh, h_0, number, batch_sizes, reverse)


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
    if a.dtype in THROUGH_FLOAT:
        wide = [t if t is None else t.float() for t in (a, weight_hh, h_0, g, q, e)]
        h, y = _gated_scan(*wide, nonlinearity, bound, batch_sizes, reverse)
        return h.to(a.dtype), y.to(a.dtype)
    return _gated_scan(a, weight_hh, h_0, g, q, e, nonlinearity, bound, batch_sizes, reverse)


def _gated_scan(*given: Any) -> tuple[Tensor, Tensor]:
    *tensors, nonlinearity, bound, batch_sizes, reverse = given
    time = batch_sizes, reverse
    return _run(
        torch.ops.elman.gated_scan.default, *tensors, NUMBERS[nonlinearity], bound or 0.0, *time
    )


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
    if x.dtype in THROUGH_FLOAT:
        p, q, e = (None if t is None else t.float() for t in (p, q, e))
        states = linear_scan(x.float(), weight.float(), s_0.float(), p, q, e, batch_sizes, reverse)
        return states.to(x.dtype)
    return _run(torch.ops.elman.linear_scan.default, x, weight, s_0, p, q, e, batch_sizes, reverse)


def layer(
    x: Tensor,
    h_0: Tensor,
    weights: list[Tensor],
    bias: bool,
    nonlinearity: str,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """As `elman.ops.layer.layer`, outside of autograd and for float32 and float64."""
    number = NUMBERS[nonlinearity]
    return _run(torch.ops.elman.layer.default, x, h_0, weights, bias, number, batch_sizes)


def layer_backward(
    output_bar: Tensor | None,
    h_n_bar: Tensor | None,
    x: Tensor,
    h_0: Tensor,
    output: Tensor,
    weights: list[Tensor],
    bias: bool,
    nonlinearity: str,
    batch_sizes: Tensor | None,
    wanted: tuple[bool, bool, bool],
) -> list[Tensor]:
    """The gradients of x, h_0 and every weight, from those of output and h_n.

    Args:
        wanted: whether those of x, of h_0 and of the weights are; the others come empty.
    """
    return torch.ops.elman.layer_backward.default(  # it has no reverse rule to pass over
        output_bar, h_n_bar, x, h_0, output, weights, bias, NUMBERS[nonlinearity], batch_sizes,
        wanted[0] + 2 * wanted[1] + 4 * wanted[2],
    )  # fmt: skip


def gated_layer(
    x: Tensor,
    h_0: Tensor,
    weights: list[Tensor],
    bias: bool,
    nonlinearity: str,
    bound: float | None,
    factors: list[Tensor],
    keep: bool,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `layer`, between gates.

    Args:
        bound: of z; None for none.
        factors: g, q and e of each direction, one after another, as in `operators.absent`.
        keep: whether y is wanted, for the gradients.

    Returns:
        output, h_n, and y in the shape of the output, empty where it is not asked for or is told
        from h: `Gates.keeps_y`.
    """
    return _run(
        torch.ops.elman.gated_layer.default, x, h_0, weights, bias, NUMBERS[nonlinearity],
        bound or 0.0, factors, keep, batch_sizes,
    )  # fmt: skip


def gated_layer_backward(
    output_bar: Tensor | None,
    h_n_bar: Tensor | None,
    x: Tensor,
    h_0: Tensor,
    output: Tensor,
    y: Tensor,
    weights: list[Tensor],
    bias: bool,
    nonlinearity: str,
    bound: float | None,
    factors: list[Tensor],
    batch_sizes: Tensor | None,
    wanted: Sequence[bool],
) -> list[Tensor]:
    """As `layer_backward`, between gates; then λ, the gradient of every state, or g's own.

    Args:
        wanted: whether those of x, of h_0, of the weights and λ are, or instead of λ the gradient
            of a g for each unit, (D, H), where there is no e; the others come empty.
    """
    return torch.ops.elman.gated_layer_backward.default(
        output_bar, h_n_bar, x, h_0, output, y, weights, bias, NUMBERS[nonlinearity],
        bound or 0.0, factors, batch_sizes, sum(2**k for k, w in enumerate(wanted) if w),
    )  # fmt: skip


def normed_layer(
    x: Tensor,
    h_0: Tensor,
    weights: list[Tensor],
    bias: bool,
    nonlinearity: str,
    bound: float | None,
    factors: list[Tensor],
    norms: list[Tensor],
    eps: float,
    keep: bool,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """As `gated_layer`, with a norm inside.

    Args:
        norms: γ and β of each direction, one after another.

    Returns:
        output, h_n and y as there; ẑ in the shape of the output and 1 / √(variance + eps), one for
        each row and direction, both empty where they are not to be kept.
    """
    return _run(
        torch.ops.elman.normed_layer.default, x, h_0, weights, bias, NUMBERS[nonlinearity],
        bound or 0.0, factors, norms, eps, keep, batch_sizes,
    )  # fmt: skip


def normed_layer_backward(
    bars: tuple[Tensor | None, Tensor | None],
    x: Tensor,
    h_0: Tensor,
    states: Sequence[Tensor],
    weights: list[Tensor],
    bias: bool,
    nonlinearity: str,
    bound: float | None,
    factors: list[Tensor],
    norms: list[Tensor],
    eps: float,
    batch_sizes: Tensor | None,
    wanted: Sequence[bool],
) -> list[Tensor]:
    """As `gated_layer_backward`; then γ̄ and β̄, (D, H) each.

    Args:
        states: output, y, ẑ and its scales, as `normed_layer` gave them.
        wanted: as there, and whether those of the norms are.
    """
    return torch.ops.elman.normed_layer_backward.default(
        *bars, x, h_0, *states, weights, bias, NUMBERS[nonlinearity], bound or 0.0, factors,
        norms, eps, batch_sizes, sum(2**k for k, w in enumerate(wanted) if w),
    )  # fmt: skip


def _run(operator: Callable[..., Any], *arguments: Any) -> Any:
    """Call an operator without its reverse rule, which is the caller's and costs as much again."""
    with torch._C._AutoDispatchBelowAutograd():
        return operator(*arguments)
