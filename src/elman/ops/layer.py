"""One layer of a network, whole: the input's product, the scan of each direction, the last states.

Where the kernels serve, the layer is one operator forward and one backward, which a small
network feels most. Everything else (derivatives of derivatives, forward mode, vmap, other
devices and dtypes) is composed of `scan` and torch's own products, with the same numbers.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from elman.ops import cpu, onnx, operators
from elman.ops.activations import NUMBERS, Nonlinearity
from elman.ops.check import check_batch_sizes
from elman.ops.composed import (
    Kind,
    check_devices,
    composed,
    differentiable,
    differentiated,
    in_one_piece,
    on_one_gpu,
    stamp_of,
    to_be_transformed,
)
from elman.ops.cuda import layer as cuda_layer
from elman.ops.doors import autocast, autocast_done, transformed, watched
from elman.ops.gated_layer import gated_layer
from elman.ops.gates import Gates
from elman.ops.layout import live
from elman.ops.norm import Norm
from elman.ops.select import asked_for


def layer(
    x: Tensor,
    h_0: Tensor | None,
    weights: Sequence[Sequence[Tensor]],
    nonlinearity: Nonlinearity = "tanh",
    batch_sizes: Tensor | None = None,
    gates: Sequence[Gates] = (),
    bound: float | None = None,
    norms: Sequence[Norm] = (),
) -> tuple[Tensor, Tensor]:
    """One layer, in one direction or both, plain or between gates.

        h_t = f(x_t W_ihᵀ + b_ih + h_{t-1} W_hhᵀ + b_hh)
        h_t = e_t ⊙ h' + g_t ⊙ f(x_t W_ihᵀ + b_ih + (q_t ⊙ h') W_hhᵀ + b_hh),  h' = r_t ⊙ h_{t-1}

    Args:
        x: (L, N, H_in), or packed (rows, H_in).
        h_0: (D, N, H); of a dense sequence None stands for zeros.
        weights: for each direction weight_ih (H, H_in), weight_hh (H, H) and, or not, bias_ih
            and bias_hh (H,). The second direction runs from the end.
        nonlinearity, batch_sizes, bound: as in `scan`.
        gates: of each direction, as in `elman.ops.gates`. Default: none.
        norms: of each direction, as in `elman.ops.norm`: f sees its argument normalised. The CPU
            kernels have it and its gradients; with any other backend, under a transform, and for
            derivatives of derivatives it is the plain loop that runs, differentiated by torch.
            Default: none.

    Returns:
        output: h_t of every t, the directions side by side, (L, N, D·H) or (rows, D·H).
        h_n: each row's last state, (D, N, H).

    >>> W = torch.eye(2), torch.zeros(2, 2)
    >>> output, h_n = layer(torch.ones(3, 1, 2), torch.zeros(1, 1, 2), [W], "relu")
    >>> output.shape, h_n
    (torch.Size([3, 1, 2]), tensor([[[1., 1.]]]))
    """
    f = nonlinearity if isinstance(nonlinearity, str) else None
    plain = f is not None and not (gates or norms or bound is not None)
    flat = [tensor for direction in weights for tensor in direction]
    bias = len(weights[0]) == 4
    if h_0 is None:
        alone = plain and batch_sizes is None and not torch.compiler.is_compiling()
        if f is not None and alone and on_one_gpu((x, *flat), flat[1].shape[0], may_cast=True):
            return _run(cuda_layer, f, None, bias, x, None, flat)  # which need not read zeros
        h_0 = x.new_zeros(len(weights), x.shape[1], flat[1].shape[0])
    if f is None or not plain:
        return gated_layer(x, h_0, weights, nonlinearity, batch_sizes, gates, bound, norms)
    if torch.compiler.is_compiling() or watched(x):
        return _for_a_graph(x, h_0, weights, f, batch_sizes)
    if batch_sizes is not None:
        check_batch_sizes(batch_sizes, x, h_0[0])
    tensors = (x, h_0, *flat)
    kernels = cpu if in_one_piece(tensors) else None
    if kernels is None and on_one_gpu(tensors, flat[1].shape[0], may_cast=True):
        kernels = cuda_layer
    if kernels is not None:
        return _run(kernels, f, batch_sizes, bias, x, h_0, flat)
    check_devices(tensors)
    return composed(Kind(f, bias), x, h_0, weights, (), batch_sizes)


def layer_with_lengths(
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Sequence[Tensor]],
    nonlinearity: str,
    lengths: Tensor,
) -> tuple[Tensor, Tensor]:
    """As `layer`, of padded x whose rows end when `lengths` says, where the GPU's kernel serves.

    Nothing is asked of the host, so that a CUDA graph may be given other lengths later.

    Args:
        x: (L, N, H_in), zero where no step is; the output is so too.
        lengths: steps of each row, 0 to L, (N,), int32 on the device of x.
    """
    flat = [tensor for direction in weights for tensor in direction]
    return _run(cuda_layer, nonlinearity, lengths, len(weights[0]) == 4, x, h_0, flat)


def _run(
    kernels: ModuleType,
    nonlinearity: str,
    batch_sizes: Tensor | None,
    bias: bool,
    x: Tensor,
    h_0: Tensor | None,
    weights: list[Tensor],
) -> tuple[Tensor, Tensor]:
    """As one operator, by the module that has it and its gradients."""
    if kernels is cuda_layer and autocast(x):  # the other is not asked for then
        with autocast_done(x, h_0, *weights) as (x, h_0, *weights):
            return _run(kernels, nonlinearity, batch_sizes, bias, x, h_0, weights)
    if differentiated((x, h_0, *weights)):
        return Layer.apply(kernels, nonlinearity, batch_sizes, bias, x, h_0, *weights)
    return kernels.layer(x, h_0, weights, bias, nonlinearity, batch_sizes)


def _for_a_graph(
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Sequence[Tensor]],
    nonlinearity: str,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """What torch.compile, an export or make_fx should write down: one node, if that says it all."""
    if onnx.exporting():
        return onnx.layer(x, h_0, weights, nonlinearity, batch_sizes)
    if x.dtype not in cpu.OWN or autocast(x) or transformed() or asked_for():
        kind = Kind(nonlinearity, len(weights[0]) == 4)
        return composed(kind, x, h_0, weights, (), batch_sizes)
    flat = [tensor for direction in weights for tensor in direction]
    bias, number = len(weights[0]) == 4, NUMBERS[nonlinearity]
    output, h_n = torch.ops.elman.layer.default(x, h_0, flat, bias, number, batch_sizes)
    # its rule saved the output; the caller's is free to be written in
    return output.clone() if output.requires_grad else output, h_n


class Layer(Function):
    """The layer as one operator, and its gradients as one."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: ModuleType,
        nonlinearity: str,
        batch_sizes: Tensor | None,
        bias: bool,
        x: Tensor,
        h_0: Tensor | None,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        output, h_n = kernels.layer(x, h_0, list(weights), bias, nonlinearity, batch_sizes)
        ctx.set_materialize_grads(False)
        ctx.kernels, ctx.kind = kernels, (nonlinearity, bias)
        # The caller may write in the output, as in torch's. So its states are saved under a
        # version counter of their own, beside a stamp: if that has moved on, the states are
        # computed again. (What is written past it, through .data or NumPy, it cannot see.)
        ctx.save_for_backward(x, h_0, output.data, batch_sizes, *weights)
        ctx.stamp = stamp_of(output)
        ctx.version = ctx.stamp._version
        return output, h_n

    @staticmethod
    def backward(ctx: Any, output_bar: Tensor | None, h_n_bar: Tensor | None) -> tuple:
        if ctx.kernels is cuda_layer and autocast(ctx.stamp):  # it would round the products
            with torch.autocast(ctx.stamp.device.type, enabled=False):
                return Layer.backward(ctx, output_bar, h_n_bar)
        x, h_0, output, batch_sizes, *weights = ctx.saved_tensors
        nonlinearity, bias = ctx.kind
        if ctx.stamp._version != ctx.version:
            output, _ = ctx.kernels.layer(x, h_0, weights, bias, nonlinearity, batch_sizes)
        wants = ctx.needs_input_grad[4:]
        saved = x, h_0, output, batch_sizes, weights
        return *(None,) * 4, *_gradients(ctx.kernels, ctx.kind, saved, output_bar, h_n_bar, wants)


# --- the operator itself, in a graph that torch.compile or torch.export has made -----------


def _keep(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    x, h_0, weights, bias, number, batch_sizes = inputs
    ctx.set_materialize_grads(False)
    ctx.kind = operators.NAMES[number], bias
    ctx.save_for_backward(x, h_0, output[0], batch_sizes, *weights)


def _rule(ctx: Any, output_bar: Tensor | None, h_n_bar: Tensor | None) -> tuple:
    x, h_0, output, batch_sizes, *weights = ctx.saved_tensors
    wants = *ctx.needs_input_grad[:2], *ctx.needs_input_grad[2]
    saved = x, h_0, output, batch_sizes, weights
    kernels = cpu  # the operator itself knows where
    x_bar, h_0_bar, *weight_bars = _gradients(kernels, ctx.kind, saved, output_bar, h_n_bar, wants)
    return x_bar, h_0_bar, weight_bars, None, None, None


torch.library.register_autograd("elman::layer", _rule, setup_context=_keep)


# --- the gradients of both ----------------------------------------------------------------


def _gradients(
    kernels: ModuleType,
    kind: tuple[str, bool],
    saved: tuple[Tensor, Tensor | None, Tensor, Tensor | None, list[Tensor]],
    output_bar: Tensor | None,
    h_n_bar: Tensor | None,
    wants: Sequence[bool],
) -> list[Tensor | None]:
    """Those of x, h_0 and every weight, as far as they are wanted."""
    if output_bar is None and h_n_bar is None:
        return [None] * len(wants)
    x, h_0, output, batch_sizes, weights = saved
    if to_be_transformed(output_bar, h_n_bar):
        if h_0 is None:
            H = weights[1].shape[0]
            h_0 = x.new_zeros(output.shape[-1] // H, x.shape[1], H)
        tensors, bars = [x, h_0, *weights], (output_bar, h_n_bar)
        if batch_sizes is None or x.dim() == 2:
            gates: list[Gates] = []
        else:  # lengths: a state is held where no step is
            there = live(batch_sizes, len(x))[..., None]
            gates, batch_sizes = [Gates(g=there)] * len(h_0), None
            bars = None if output_bar is None else torch.where(there, output_bar, 0), h_n_bar
        return differentiable(Kind(*kind), tensors, lambda _: (gates, []), batch_sizes, bars, wants)
    wants_x, wants_h_0, *wants_weights = wants
    wanted = wants_x, wants_h_0, any(wants_weights)
    x_bar, h_0_bar, *weight_bars = kernels.layer_backward(
        output_bar, h_n_bar, x, h_0, output, weights, kind[1], kind[0], batch_sizes, wanted
    )
    bars = x_bar if wants_x else None, h_0_bar if wants_h_0 else None
    return [*bars, *(weight_bars if wanted[2] else [None] * len(weights))]
