"""One layer between gates, or with a norm: in one operator where the kernels serve.

    h_t = e_t ⊙ h' + g_t ⊙ y_t    y_t = f(x_t W_ihᵀ + b + (q_t ⊙ h') W_hhᵀ)    h' = r_t ⊙ h_{t-1}

Its gradients are in gated_gradients.py.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from elman.ops import cpu, onnx, operators
from elman.ops.activations import NUMBERS, Nonlinearity
from elman.ops.check import check_batch_sizes, check_nonlinearity
from elman.ops.composed import (
    Kind,
    check_devices,
    composed,
    differentiated,
    in_one_piece,
    stamp_of,
)
from elman.ops.doors import autocast, autocast_done, transformed
from elman.ops.gated_gradients import Parts, gradients
from elman.ops.gates import Gates, check_gates
from elman.ops.norm import Norm, check_norms
from elman.ops.select import asked_for


def gated_layer(
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Sequence[Tensor]],
    nonlinearity: Nonlinearity,
    batch_sizes: Tensor | None,
    gates: Sequence[Gates],
    bound: float | None,
    norms: Sequence[Norm] = (),
) -> tuple[Tensor, Tensor]:
    """As `elman.ops.layer`, which hands over to this."""
    D, N, H = h_0.shape
    if onnx.exporting():
        raise ValueError(
            "ONNX's RNN node should get a plain layer, got one with gates, a norm, a bound or a "
            "function of one's own, none of which it knows; torch.export takes them"
        )
    check_nonlinearity(nonlinearity, bound)
    if autocast(x):
        flat = [t for direction in weights for t in direction]
        with autocast_done(x, h_0, *flat) as (x, h_0, *flat):
            weights = operators.directions(flat, len(weights[0]) == 4)
            gates = [between.to(x.dtype) for between in gates]
            norms = [Norm(n.weight.to(x.dtype), n.bias.to(x.dtype), n.eps) for n in norms]
            return gated_layer(x, h_0, weights, nonlinearity, batch_sizes, gates, bound, norms)
    for between in gates:
        check_gates(between, x, N, H, batch_sizes)
    if norms:
        check_norms(norms, x, D, H)
    kind = Kind(nonlinearity, len(weights[0]) == 4, bound, norms[0].eps if norms else None)
    parts = Parts(
        x, h_0,
        [c for between in gates for c in between.flat(x)],
        [t for norm in norms for t in (norm.weight, norm.bias)],
        [tensor for direction in weights for tensor in direction],
    )  # fmt: skip
    if torch.compiler.is_compiling():
        if _is_one_node(kind, x):
            output, h_n, *_ = _operator(kind, parts, True, batch_sizes)
            # its rule saved the output; the caller's is free to be written in
            return output.clone() if output.requires_grad else output, h_n
        return composed(kind, x, h_0, weights, gates, batch_sizes, norms)
    if batch_sizes is not None:
        check_batch_sizes(batch_sizes, x, h_0[0])
    tensors = parts.flat()
    if callable(nonlinearity) or not in_one_piece(tensors):
        check_devices(tensors)
        return composed(kind, x, h_0, weights, gates, batch_sizes, norms)
    if differentiated(tensors):
        return GatedLayer.apply(kind, batch_sizes, parts.counts(), *tensors)
    output, h_n, *_ = _run(kind, parts, False, batch_sizes)
    return output, h_n


def _is_one_node(kind: Kind, x: Tensor) -> bool:
    """Whether one operator says it all in a graph."""
    if callable(kind.nonlinearity) or x.dtype not in cpu.OWN:
        return False
    if autocast(x) or transformed() or asked_for() is not None:
        return False
    return kind.eps is None or (x.is_cpu and _kernels())


def _kernels() -> bool:
    return cpu.problem() is None


# what torch.compiler.assume_constant_result would mark: to be run where the compiler meets it
_kernels._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _operator(
    kind: Kind, parts: Parts, keep: bool, batch_sizes: Tensor | None
) -> tuple[Tensor, ...]:
    number, bound, norms = NUMBERS[str(kind.nonlinearity)], kind.bound or 0.0, parts.norms
    given = parts.x, parts.h_0, parts.weights, kind.bias, number, bound, parts.factors
    found: tuple[Tensor, ...]
    if kind.eps is None:
        found = torch.ops.elman.gated_layer.default(*given, keep, batch_sizes)
    else:
        found = torch.ops.elman.normed_layer.default(*given, norms, kind.eps, keep, batch_sizes)
    return found


def _run(kind: Kind, parts: Parts, keep: bool, batch_sizes: Tensor | None) -> tuple[Tensor, ...]:
    """output, h_n, y and, with a norm, ẑ and its scales; without autograd."""
    f, bound, norms = str(kind.nonlinearity), kind.bound, parts.norms
    given = parts.x, parts.h_0, parts.weights, kind.bias, f, bound, parts.factors
    if kind.eps is None:
        return cpu.gated_layer(*given, keep, batch_sizes)
    return cpu.normed_layer(*given, norms, kind.eps, keep, batch_sizes)


class GatedLayer(Function):
    """The layer as one operator, and its gradients as one."""

    @staticmethod
    def forward(
        ctx: Any,
        kind: Kind,
        batch_sizes: Tensor | None,
        counts: tuple[int, int],
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor]:
        output, h_n, *kept = _run(kind, Parts.of(tensors, counts), True, batch_sizes)
        ctx.set_materialize_grads(False)
        ctx.kind, ctx.counts, ctx.kept = kind, counts, len(kept)
        ctx.save_for_backward(batch_sizes, output.data, *kept, *tensors)
        ctx.stamp = stamp_of(output)  # as `layer.Layer` has it
        ctx.version = ctx.stamp._version
        return output, h_n

    @staticmethod
    def backward(ctx: Any, output_bar: Tensor | None, h_n_bar: Tensor | None) -> tuple:
        batch_sizes, *saved = ctx.saved_tensors
        states, tensors = saved[: 1 + ctx.kept], saved[1 + ctx.kept :]
        parts = Parts.of(tensors, ctx.counts)
        if ctx.stamp._version != ctx.version:
            output, _, *kept = _run(ctx.kind, parts, True, batch_sizes)
            states = [output, *kept]
        wants = Parts.of(ctx.needs_input_grad[3:], ctx.counts)
        bars = output_bar, h_n_bar
        found = gradients(ctx.kind, parts, states, bars, batch_sizes, wants)
        return None, None, None, *found.flat()


# --- the operators themselves, in a graph ---------------------------------------------------


def _keep(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
    x, h_0, weights, bias, number, bound, factors, *rest = inputs
    norms, eps = (rest[0], rest[1]) if len(rest) > 2 else ([], None)
    ctx.set_materialize_grads(False)
    ctx.kind = Kind(operators.NAMES[number], bias, bound or None, eps)
    parts = Parts(x, h_0, factors, norms, weights)
    ctx.counts, ctx.kept = parts.counts(), len(output) - 2
    ctx.mark_non_differentiable(*output[2:])
    ctx.save_for_backward(inputs[-1], output[0], *output[2:], *parts.flat())


def _rule(ctx: Any, output_bar: Tensor | None, h_n_bar: Tensor | None, *_: None) -> tuple:
    batch_sizes, *saved = ctx.saved_tensors
    states, tensors = saved[: 1 + ctx.kept], saved[1 + ctx.kept :]
    needs, normed = ctx.needs_input_grad, ctx.kind.eps is not None
    wants: Parts[bool] = Parts(needs[0], needs[1], needs[6], needs[7] if normed else [], needs[2])
    bars = output_bar, h_n_bar
    parts = Parts.of(tensors, ctx.counts)
    found = gradients(ctx.kind, parts, states, bars, batch_sizes, wants)
    of_norms = (found.norms, None) if normed else ()
    return found.x, found.h_0, found.weights, *(None,) * 3, found.factors, *of_norms, None, None


for _name in ("gated_layer", "normed_layer"):
    torch.library.register_autograd(f"elman::{_name}", _rule, setup_context=_keep)
