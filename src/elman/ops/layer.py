"""One layer of a network, whole: the input's product, the scan of each direction, the last states.

Where the kernels serve, the layer is one operator forward and one backward, which a small
network feels most. Everything else (derivatives of derivatives, forward mode, vmap, other
devices and dtypes) is composed of `scan` and torch's own products, with the same numbers.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from elman.ops import cpu, onnx, operators
from elman.ops.check import check_batch_sizes
from elman.ops.doors import autocast, scan, traced, transformed
from elman.ops.layout import ended
from elman.ops.select import asked_for, select


def layer(
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Sequence[Tensor]],
    nonlinearity: str = "tanh",
    batch_sizes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One layer, in one direction or both.

        h_t = f(x_t W_ihᵀ + b_ih + h_{t-1} W_hhᵀ + b_hh)

    Args:
        x: (L, N, H_in), or packed (rows, H_in).
        h_0: (D, N, H).
        weights: for each direction weight_ih (H, H_in), weight_hh (H, H) and, or not, bias_ih
            and bias_hh (H,). The second direction runs from the end.
        nonlinearity, batch_sizes: as in `scan`.

    Returns:
        output: h_t of every t, the directions side by side, (L, N, D·H) or (rows, D·H).
        h_n: each row's last state, (D, N, H).

    >>> W = torch.eye(2), torch.zeros(2, 2)
    >>> output, h_n = layer(torch.ones(3, 1, 2), torch.zeros(1, 1, 2), [W], "relu")
    >>> output.shape, h_n
    (torch.Size([3, 1, 2]), tensor([[[1., 1.]]]))
    """
    if torch.compiler.is_compiling():
        return _for_a_graph(x, h_0, weights, nonlinearity, batch_sizes)
    if batch_sizes is not None:
        check_batch_sizes(batch_sizes, x, h_0[0])
    flat = [tensor for direction in weights for tensor in direction]
    tensors = (x, h_0, *flat)
    bias = len(weights[0]) == 4
    if not _in_one_piece(tensors):
        _check_devices(tensors)
        return _composed(x, h_0, weights, nonlinearity, batch_sizes)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return Layer.apply(nonlinearity, batch_sizes, bias, x, h_0, *flat)
    return cpu.layer(x, h_0, flat, bias, nonlinearity, batch_sizes)


def _in_one_piece(tensors: tuple[Tensor, ...]) -> bool:
    """Whether the kernels' own layer serves: a plain call, in a dtype they have."""
    x = tensors[0]
    return (
        x.dtype in cpu.OWN
        and all(t.is_cpu for t in tensors)
        and not torch.is_autocast_enabled("cpu")
        and not transformed()
        and not traced()
        and select(x.device, x.dtype).backend == "cpu"
    )


def _for_a_graph(
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Sequence[Tensor]],
    nonlinearity: str,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """What torch.compile or an export should write down: one node, where that says it all."""
    if onnx.exporting():
        return onnx.layer(x, h_0, weights, nonlinearity, batch_sizes)
    if x.dtype not in cpu.OWN or autocast(x) or transformed() or asked_for():
        return _composed(x, h_0, weights, nonlinearity, batch_sizes)
    flat = [tensor for direction in weights for tensor in direction]
    bias, number = len(weights[0]) == 4, cpu.NUMBERS[nonlinearity]
    output, h_n = torch.ops.elman.layer.default(x, h_0, flat, bias, number, batch_sizes)
    # its rule saved the output; the caller's is free to be written in
    return output.clone() if output.requires_grad else output, h_n


def _batched(bar: Tensor | None) -> bool:
    """Whether it is many gradients at once, in the way of torch.autograd.grad's is_grads_batched.

    The layer's operator has no rule for that; torch runs a scan's for one after another.
    """
    return bar is not None and torch._C._functorch.is_legacy_batchedtensor(bar)


def _check_devices(tensors: tuple[Tensor, ...]) -> None:
    """Torch's products let some mixtures through."""
    x = tensors[0]
    for t in tensors[1:]:
        if t.device != x.device:
            raise RuntimeError(
                f"the input is on {x.device} but a weight or h_0 on {t.device}; move one of them"
            )


def _composed(
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Sequence[Tensor]],
    nonlinearity: str,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Tensor]:
    outputs, last = [], []
    for direction, (weight_ih, weight_hh, *biases) in enumerate(weights):
        initial, reverse = h_0[direction], direction == 1
        a = functional.linear(x, weight_ih, biases[0] + biases[1] if biases else None)
        h = scan(a, weight_hh, initial, nonlinearity, batch_sizes=batch_sizes, reverse=reverse)
        outputs.append(h)
        last.append(ended(h, initial.to(h.dtype), batch_sizes, reverse))
    if len(outputs) > 1:
        return torch.cat(outputs, -1), torch.stack(last)
    (output,) = outputs
    # the rules saved the scan's own states; the caller's are free to be written in
    kept = output.requires_grad or transformed()  # vmap hides that a gradient is wanted outside it
    return output.clone() if kept else output, torch.stack(last)


class Layer(Function):
    """The layer as one operator, and its gradients as one."""

    @staticmethod
    def forward(
        ctx: Any,
        nonlinearity: str,
        batch_sizes: Tensor | None,
        bias: bool,
        x: Tensor,
        h_0: Tensor,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        output, h_n = cpu.layer(x, h_0, list(weights), bias, nonlinearity, batch_sizes)
        ctx.set_materialize_grads(False)
        ctx.kind = nonlinearity, bias
        # The caller may write in the output, as in torch's. So its states are saved under a
        # version counter of their own, beside a tensor without numbers that has the output's:
        # if that has moved on, the states are computed again. (What is written past the counter,
        # through .data or NumPy, it cannot see.)
        ctx.save_for_backward(x, h_0, output.data, batch_sizes, *weights)
        ctx.stamp = output.detach()
        ctx.stamp.data = output.new_empty(0)
        ctx.version = ctx.stamp._version
        return output, h_n

    @staticmethod
    def backward(ctx: Any, output_bar: Tensor | None, h_n_bar: Tensor | None) -> tuple:
        x, h_0, output, batch_sizes, *weights = ctx.saved_tensors
        nonlinearity, bias = ctx.kind
        if ctx.stamp._version != ctx.version:
            output, _ = cpu.layer(x, h_0, weights, bias, nonlinearity, batch_sizes)
        wants = ctx.needs_input_grad[3:]
        saved = x, h_0, output, batch_sizes, weights
        return None, None, None, *_gradients(ctx.kind, saved, output_bar, h_n_bar, wants)


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
    x_bar, h_0_bar, *weight_bars = _gradients(ctx.kind, saved, output_bar, h_n_bar, wants)
    return x_bar, h_0_bar, weight_bars, None, None, None


torch.library.register_autograd("elman::layer", _rule, setup_context=_keep)


# --- the gradients of both ----------------------------------------------------------------


def _gradients(
    kind: tuple[str, bool],
    saved: tuple[Tensor, Tensor, Tensor, Tensor | None, list[Tensor]],
    output_bar: Tensor | None,
    h_n_bar: Tensor | None,
    wants: Sequence[bool],
) -> list[Tensor | None]:
    """Those of x, h_0 and every weight, as far as they are wanted."""
    if output_bar is None and h_n_bar is None:
        return [None] * len(wants)
    x, h_0, output, batch_sizes, weights = saved
    batched = _batched(output_bar) or _batched(h_n_bar)
    if torch.is_grad_enabled() or batched or transformed():  # to be transformed themselves
        tensors = [x, h_0, *weights]
        return _differentiable(kind, tensors, batch_sizes, output_bar, h_n_bar, wants)
    wants_x, wants_h_0, *wants_weights = wants
    wanted = wants_x, wants_h_0, any(wants_weights)
    x_bar, h_0_bar, *weight_bars = cpu.layer_backward(
        output_bar, h_n_bar, x, h_0, output, weights, kind[1], kind[0], batch_sizes, wanted
    )
    bars = x_bar if wants_x else None, h_0_bar if wants_h_0 else None
    return [*bars, *(weight_bars if wanted[2] else [None] * len(weights))]


def _differentiable(
    kind: tuple[str, bool],
    tensors: list[Tensor],
    batch_sizes: Tensor | None,
    output_bar: Tensor | None,
    h_n_bar: Tensor | None,
    wants: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients once more, as the layer composed of scans has them."""
    nonlinearity, bias = kind
    onward = torch.is_grad_enabled()
    with torch.enable_grad():
        aliases = [t.view_as(t) for t in tensors]  # so that no hook of the caller's runs in here
        x, h_0, *flat = aliases
        weights = operators.directions(flat, bias)
        results = _composed(x, h_0, weights, nonlinearity, batch_sizes)
    given = [
        (r, bar) for r, bar in zip(results, (output_bar, h_n_bar), strict=True) if bar is not None
    ]
    wanted = [a for a, wants_a in zip(aliases, wants, strict=True) if wants_a]
    found = iter(
        torch.autograd.grad(
            [r for r, _ in given], wanted, [bar for _, bar in given],
            create_graph=onward, allow_unused=True,
        )
    )  # fmt: skip
    return [next(found) if wants_one else None for wants_one in wants]
