"""The scans over torch's own operators: every device, one fused product and one activation a step.

Runs below autograd (the rules are in derivatives.py), so it may write in place; but not where
torch itself writes the operations down or runs many of them at once.
"""

import torch
from torch import Tensor

from elman.ops import reference
from elman.ops.activations import NONLINEARITIES, activate
from elman.ops.layout import continued, in_order, product, scaled

_IN_PLACE = {"tanh": torch.tanh_, "relu": torch.relu_, "identity": lambda z: z}


def serves(device: torch.device, dtype: torch.dtype, H: int | None = None) -> str | None:
    """Why this backend cannot serve such tensors, in words; None where it can."""
    return None if dtype.is_floating_point else f"{dtype} is not a real floating-point type"


def scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    nonlinearity: str = "tanh",
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """As `reference.scan`."""
    if not may_write(a, weight_hh, h_0):
        return reference.scan(a, weight_hh, h_0, nonlinearity, batch_sizes, reverse)
    f, weight = _IN_PLACE.get(nonlinearity), weight_hh.mT
    states = a.clone(memory_format=torch.contiguous_format)
    h = h_0
    for (h_t,) in in_order(batch_sizes, reverse, states):
        _add_product(h_t, continued(h, h_0, h_t.shape[0]), weight)
        h = h_t.copy_(NONLINEARITIES[nonlinearity](h_t)) if f is None else f(h_t)
    return states


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
    carry = g is not None or e is not None
    if not may_write(a, weight_hh, h_0, g, q, e):
        h, y = reference.gated_scan(
            a, weight_hh, h_0, nonlinearity, g, q, e, bound, batch_sizes, reverse
        )
        return h, y if carry else y.new_empty(0)
    weight = weight_hh.mT
    inner = a.clone(memory_format=torch.contiguous_format)
    states = torch.empty_like(inner) if carry else inner
    h = h_0
    for y_t, h_t, g_t, q_t, e_t in in_order(batch_sizes, reverse, inner, states, g, q, e):
        h = continued(h, h_0, y_t.shape[0])
        _add_product(y_t, scaled(q_t, h), weight)
        y_t.copy_(activate(y_t, nonlinearity, bound))
        if carry:
            h_t.copy_(scaled(g_t, y_t))
            if e_t is not None:
                h_t.addcmul_(e_t, h)
        h = h_t
    return states, inner if carry else inner.new_empty(0)


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
    if not may_write(x, weight, s_0, p, q, e):
        return reference.linear_scan(x, weight, s_0, p, q, e, batch_sizes, reverse)
    states = x.clone(memory_format=torch.contiguous_format)
    s = s_0
    for s_t, p_t, q_t, e_t in in_order(batch_sizes, reverse, states, p, q, e):
        s = continued(s, s_0, s_t.shape[0])
        inside = scaled(q_t, s)
        if p_t is None:
            _add_product(s_t, inside, weight)
        else:
            s_t.addcmul_(p_t, product(inside, weight))
        if e_t is not None:
            s_t.addcmul_(e_t, s)
        s = s_t
    return states


def may_write(*tensors: Tensor | None) -> bool:
    """Whether what is written in place stays right.

    torch.func.linearize folds constants in what a tracer wrote down, writes or not, and gives
    wrong numbers; is_grads_batched refuses to write many copies into one.
    """
    traced = torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None
    batched = torch._C._functorch.is_legacy_batchedtensor
    return not traced and not any(t is not None and batched(t) for t in tensors)


def _add_product(x: Tensor, s: Tensor, weight: Tensor) -> None:
    """Add s M to x, in place."""
    if weight.dim() == 2:
        x.addmm_(s, weight)
    else:
        x.add_(product(s, weight))
