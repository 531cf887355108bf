"""The public ops: they check what comes, choose a backend, and hand over to the rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from elman.ops import operators, reference
from elman.ops.activations import Nonlinearity
from elman.ops.check import check_batch_sizes, check_nonlinearity, check_tensors
from elman.ops.running import run_gated_scan, run_linear_scan, run_scan
from elman.ops.select import OPERATORS, asked_for, select

#: The devices it may be on for; asked once, since torch.compile cannot follow the question.
_AUTOCAST = frozenset(
    name
    for name in ("cpu", "cuda", "mps", "xpu", "mtia", "maia", "hpu", "xla")
    if torch.amp.is_autocast_available(name)
)
#: The dtypes that it turns into its own: never float64, as in torch.
AUTOCAST_FROM = (torch.float32, torch.float16, torch.bfloat16)


def scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    nonlinearity: Nonlinearity = "tanh",
    *,
    g: Tensor | None = None,
    q: Tensor | None = None,
    e: Tensor | None = None,
    bound: float | None = None,
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
    backend: str | None = None,
) -> Tensor:
    """The Elman recurrence over a whole sequence, plain or between gates.

        h_t = f(a_t + h_{t-1} Wᵀ)
        h_t = e_t ⊙ h_{t-1} + g_t ⊙ f(a_t + (q_t ⊙ h_{t-1}) Wᵀ)

    Args:
        a: what the input says, x_t W_ihᵀ + b: (L, N, H), or packed (rows, H). With groups
            (L, N, G, H) or (rows, G, H).
        weight_hh: W, (H, H) in (out, in) order; with groups (G, H, H).
        h_0: the state before each row's first step, (N, H) or (N, G, H).
        nonlinearity: f, a name from `elman.ops.NONLINEARITIES`; or a function of a tensor,
            which the plain loop serves, whatever the backend, and torch differentiates.
        g, q, e: gates in the shape of `a`. Default: g = q = 1, and e = 1 - g, so that with no g
            there is none.
        bound: z is held within ±bound before f is taken. Default: none.
        batch_sizes: rows at each step when packed, never increasing: 1-D int64 on the CPU,
            as in `torch.nn.utils.rnn.PackedSequence`. Rows of `h_0` beyond the first of
            them have length zero. Default: dense.
        reverse: run from the last step to the first. Default: False.
        backend: a name from `elman.ops.BACKENDS`. Default: `select` chooses.

    Returns:
        h_t for every t, in the shape of `a`. Under autocast in the autocast dtype.

    Raises:
        TypeError: an argument is of the wrong type, or dtypes differ.
        ValueError: a shape, device, nonlinearity or `batch_sizes` does not fit, or the
            backend asked for cannot serve the call.

    Derivatives of any order, reverse and forward mode. Source: Elman, Finding Structure in
    Time, Cognitive Science 14 (1990); the rules are derived in README.md beside this file.

    >>> a, W, h_0 = torch.zeros(5, 2, 3), torch.eye(3), torch.ones(2, 3)
    >>> scan(a, W, h_0, "relu").shape
    torch.Size([5, 2, 3])
    >>> scan(a, W, h_0, "relu")[-1, 0]
    tensor([1., 1., 1.])
    """
    check_nonlinearity(nonlinearity, bound)
    if (
        g is not None
        or q is not None
        or e is not None
        or bound is not None
        or callable(nonlinearity)
    ):
        return _gated(
            a, weight_hh, h_0, g, q, e, nonlinearity, bound, batch_sizes, reverse, backend
        )
    with autocast_done(a, weight_hh, h_0) as (a, weight_hh, h_0):
        check_tensors({"a": a, "weight_hh": weight_hh, "h_0": h_0})
        check_batch_sizes(batch_sizes, a, h_0)
        chosen = _chosen(a, backend)
        if chosen is None:
            return reference.scan(a, weight_hh, h_0, nonlinearity, batch_sizes, reverse)
        if chosen == OPERATORS and not transformed():
            return operators.scan(a, weight_hh, h_0, nonlinearity, batch_sizes, reverse)
        return run_scan(a, weight_hh, h_0, nonlinearity, batch_sizes, reverse, chosen)


def _gated(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    g: Tensor | None,
    q: Tensor | None,
    e: Tensor | None,
    nonlinearity: Nonlinearity,
    bound: float | None,
    batch_sizes: Tensor | None,
    reverse: bool,
    backend: str | None,
) -> Tensor:
    with autocast_done(a, weight_hh, h_0, g, q, e) as (a, weight_hh, h_0, g, q, e):
        check_tensors({"a": a, "weight_hh": weight_hh, "h_0": h_0, "g": g, "q": q, "e": e})
        check_batch_sizes(batch_sizes, a, h_0)
        if e is None and g is not None:
            e = 1 - g
        chosen = _chosen(a, backend)
        gates, time = (g, q, e), (batch_sizes, reverse)
        if chosen is None or callable(nonlinearity):
            return reference.gated_scan(a, weight_hh, h_0, nonlinearity, *gates, bound, *time)[0]
        if chosen == OPERATORS and not transformed():
            return operators.gated_scan(a, weight_hh, h_0, nonlinearity, *gates, bound, *time)[0]
        return run_gated_scan(a, weight_hh, h_0, *gates, nonlinearity, bound, *time, chosen)[0]


def linear_scan(
    x: Tensor,
    weight: Tensor,
    s_0: Tensor,
    *,
    p: Tensor | None = None,
    q: Tensor | None = None,
    e: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
    backend: str | None = None,
) -> Tensor:
    """The linear recurrence that every derivative of `scan` is.

        s_t = x_t + e_t ⊙ s_{t-1} + p_t ⊙ ((q_t ⊙ s_{t-1}) M)

    Args:
        x: (L, N, H), or packed (rows, H); with groups G before H.
        weight: M, (H, H), applied from the right; with groups (G, H, H).
        s_0: the state before each row's first step, (N, H) or (N, G, H).
        p, q, e: factors in the shape of `x`. Default: p = q = 1, e = 0.
        batch_sizes, reverse, backend: as in `scan`.

    Returns:
        s_t for every t, in the shape of `x`.

    Raises:
        TypeError, ValueError: as in `scan`.

    >>> x, M = torch.ones(3, 1, 1), torch.full((1, 1), 2.0)
    >>> linear_scan(x, M, torch.zeros(1, 1)).flatten()
    tensor([1., 3., 7.])
    >>> linear_scan(x, M, torch.zeros(1, 1), reverse=True).flatten()
    tensor([7., 3., 1.])
    """
    with autocast_done(x, weight, s_0, p, q, e) as (x, weight, s_0, p, q, e):
        check_tensors({"x": x, "weight": weight, "s_0": s_0, "p": p, "q": q, "e": e})
        check_batch_sizes(batch_sizes, x, s_0)
        chosen = _chosen(x, backend)
        if chosen is None:
            return reference.linear_scan(x, weight, s_0, p, q, e, batch_sizes, reverse)
        if chosen == OPERATORS and not transformed():
            return operators.linear_scan(x, weight, s_0, p, q, e, batch_sizes, reverse)
        return run_linear_scan(x, weight, s_0, p, q, e, batch_sizes, reverse, chosen)


def traced() -> bool:
    """Whether torch.jit.trace is writing down every operation."""
    return torch.jit.is_tracing()  # type: ignore[attr-defined]


def watched(x: Tensor) -> bool:
    """Whether a mode of torch's dispatcher should see every operator: of fake tensors, of make_fx.

    A kernel of a GPU that is handed addresses it would not see, and fake tensors have none. Those
    for the CPU are operators anyway.
    """
    return not x.is_cpu and torch._C._len_torch_dispatch_stack() > 0


def transformed() -> bool:
    """Whether there is vmap or forward mode around, or another transform of torch.func."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _chosen(x: Tensor, backend: str | None) -> str | None:
    """The backend that serves; None where torch is to differentiate the plain loop itself.

    That is where torch.jit.trace writes down every operation, and for complex numbers, since the
    rules are those of real ones. What torch.compile and torch.export write down is an operator.
    """
    if traced():
        return None
    graph = torch.compiler.is_compiling() or watched(x)
    if graph and (backend or asked_for()) is None and not x.is_complex():
        return OPERATORS
    chosen = select(x.device, x.dtype, backend, x.shape[-1]).backend
    return None if x.is_complex() else chosen


def autocast(x: Tensor) -> bool:
    """Whether autocast is on for the device of x."""
    return x.device.type in _AUTOCAST and torch.is_autocast_enabled(x.device.type)


@contextmanager
def autocast_done(*tensors: Tensor | None) -> Iterator[tuple[Any, ...]]:
    """The tensors in autocast's dtype and autocast off, as torch treats its own products."""
    if not isinstance(tensors[0], Tensor) or not autocast(tensors[0]):
        yield tensors
        return
    device = tensors[0].device.type
    dtype = torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):
        yield tuple(
            t.to(dtype) if isinstance(t, Tensor) and t.dtype in AUTOCAST_FROM else t
            for t in tensors
        )
