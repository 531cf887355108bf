"""What the operators do where the CPU kernels do not serve, with the same numbers.

On a GPU its kernel, where there is one; otherwise torch's own operators.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elman.ops import cpu
from elman.ops.activations import slope
from elman.ops.check import check_batch_sizes, check_layer, check_layer_bars, shape
from elman.ops.composed import on_one_gpu
from elman.ops.cuda import layer as cuda_layer
from elman.ops.derivatives import both
from elman.ops.doors import autocast
from elman.ops.gates import Gates, from_flat, numbers, spread
from elman.ops.layout import (
    begun,
    edge,
    ended,
    following,
    lying_as,
    outer,
    outer_with_previous,
    previous,
    product,
    scaled,
)
from elman.ops.operators import NAMES, directions
from elman.ops.select import backend_module, select


def _elsewhere(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what an operator does on devices without kernels of its own."""

    def register(composed: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            tensors = [a for a in arguments if isinstance(a, Tensor)]
            x = next(t for t in tensors if t.is_floating_point())
            for t in (*tensors, *(w for a in arguments if isinstance(a, list) for w in a)):
                if t.layout != torch.strided:
                    raise RuntimeError(
                        f"elman: every tensor should be dense, got one of {shape(t)} in layout "
                        f"{t.layout}; give it as tensor.to_dense()"
                    )
            if x.is_cpu and cpu.serves(x.device, x.dtype) is None:  # that has just loaded them
                return getattr(torch.ops.elman, name).default(*arguments)
            if not autocast(x):
                return composed(*arguments)
            with torch.autocast(x.device.type, enabled=False):  # as in the kernels, and as its rule
                return composed(*arguments)

        torch.library.impl(f"elman::{name}", "CompositeExplicitAutograd")(run)
        return composed

    return register


def _backend(x: Tensor) -> Any:
    """The module with the scans for such a sequence."""
    return backend_module(select(x.device, x.dtype, H=x.shape[-1]).backend)


@_elsewhere("scan")
def _scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    number: int,
    batch_sizes: Tensor | None,
    reverse: bool,
) -> Tensor:
    check_batch_sizes(batch_sizes, a, h_0)
    return _backend(a).scan(a, weight_hh, h_0, NAMES[number], batch_sizes, reverse)


@_elsewhere("gated_scan")
def _gated_scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    g: Tensor | None,
    q: Tensor | None,
    e: Tensor | None,
    number: int,
    bound: float,
    batch_sizes: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    check_batch_sizes(batch_sizes, a, h_0)
    gates = g, q, e
    time = batch_sizes, reverse
    kernel = _backend(a).gated_scan
    return kernel(a, weight_hh, h_0, NAMES[number], *gates, bound or None, *time)


@_elsewhere("linear_scan")
def _linear_scan(x: Tensor, weight: Tensor, s_0: Tensor, *rest: Any) -> Tensor:
    check_batch_sizes(rest[3], x, s_0)
    return _backend(x).linear_scan(x, weight, s_0, *rest)


@_elsewhere("layer")
def _layer(
    x: Tensor,
    h_0: Tensor,
    weights: list[Tensor],
    bias: bool,
    number: int,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Tensor]:
    check_batch_sizes(batch_sizes, x, h_0[0])
    if on_one_gpu((x, h_0, *weights), h_0.shape[2]):
        return cuda_layer.layer(x, h_0, weights, bias, NAMES[number], batch_sizes)
    outputs, last = [], []
    for d, (weight_ih, weight_hh, *biases) in enumerate(directions(weights, bias)):
        a = functional.linear(x, weight_ih, biases[0] + biases[1] if bias else None)
        h = _backend(a).scan(a, weight_hh, h_0[d], NAMES[number], batch_sizes, d == 1)
        outputs.append(h)
        last.append(ended(h, h_0[d], batch_sizes, d == 1))
    return torch.cat(outputs, -1), torch.stack(last)


@_elsewhere("layer_backward")
def _layer_backward(
    output_bar: Tensor | None,
    h_n_bar: Tensor | None,
    x: Tensor,
    h_0: Tensor,
    output: Tensor,
    weights: list[Tensor],
    bias: bool,
    number: int,
    batch_sizes: Tensor | None,
    wanted: int,
) -> list[Tensor]:
    """README.md beside this file: δ by a linear_scan, and products of whole sequences."""
    if on_one_gpu((x, h_0, *weights), h_0.shape[2]):
        check_layer(x, h_0, weights, bias, batch_sizes is None)
        check_layer_bars(output_bar, h_n_bar, x, h_0, output)
        wants = bool(wanted & 1), bool(wanted & 2), bool(wanted & 4)
        found = cuda_layer.layer_backward(
            output_bar, h_n_bar, x, h_0, output, weights, bias, NAMES[number], batch_sizes, wants
        )
        if found[0] is not None:  # rules.py says that it lies as x, and a graph counts on it
            like = lying_as(x)
            found[0] = found[0] if found[0].stride() == like.stride() else like.copy_(found[0])
        return [x.new_empty(0) if bar is None else bar for bar in found]
    _, N, H = h_0.shape
    x_bar, h_0_bar, weight_bars = lying_as(x).zero_(), h_0.new_zeros(h_0.shape), []
    for d, (weight_ih, weight_hh, *biases) in enumerate(directions(weights, bias)):
        initial, reverse = h_0[d], d == 1
        h = output.narrow(-1, d * H, H).contiguous()
        h_bar = torch.zeros_like(h)
        if output_bar is not None:
            h_bar += output_bar.narrow(-1, d * H, H)
        if h_n_bar is not None:
            h_0_bar[d] += _add_at_the_ends(h_bar, h_n_bar[d], batch_sizes, reverse)
        d_h = slope(h, NAMES[number])
        delta = _backend(h).linear_scan(
            scaled(d_h, h_bar), weight_hh, torch.zeros_like(initial), d_h,
            None, None, batch_sizes, not reverse,
        )  # fmt: skip
        x_bar += product(delta, weight_ih)
        h_0_bar[d] += product(begun(delta, batch_sizes, reverse, N), weight_hh)
        weight_bars += [
            outer(delta, x, weight_ih),
            outer_with_previous(delta, h, initial, weight_hh, batch_sizes, reverse),
            *(delta.flatten(0, -2).sum(0) for _ in biases),
        ]
    bars = [x_bar if wanted & 1 else x.new_empty(0), h_0_bar if wanted & 2 else x.new_empty(0)]
    return bars + [b if wanted & 4 else x.new_empty(0) for b in weight_bars]


@_elsewhere("gated_layer")
def _gated_layer(
    x: Tensor,
    h_0: Tensor,
    weights: list[Tensor],
    bias: bool,
    number: int,
    bound: float,
    factors: list[Tensor],
    keep: bool,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    check_batch_sizes(batch_sizes, x, h_0[0])
    outputs, last, inner = [], [], []
    gates = from_flat(factors) or [Gates()] * len(h_0)
    for d, (weight_ih, weight_hh, *biases) in enumerate(directions(weights, bias)):
        a = functional.linear(x, weight_ih, biases[0] + biases[1] if bias else None)
        g, q, e, _ = gates[d].spread(a, batch_sizes)
        h, y = _backend(a).gated_scan(
            a, weight_hh, h_0[d], NAMES[number], g, q, e, bound or None, batch_sizes, d == 1
        )
        outputs.append(h)
        inner.append(y if gates[d].carry else h)
        last.append(ended(h, h_0[d], batch_sizes, d == 1))
    kept = keep and any(one.keeps_y for one in gates)
    y = torch.cat(inner, -1) if kept else x.new_empty(0)
    return torch.cat(outputs, -1), torch.stack(last), y


@_elsewhere("gated_layer_backward")
def _gated_layer_backward(
    output_bar: Tensor | None,
    h_n_bar: Tensor | None,
    x: Tensor,
    h_0: Tensor,
    output: Tensor,
    y: Tensor,
    weights: list[Tensor],
    bias: bool,
    number: int,
    bound: float,
    factors: list[Tensor],
    batch_sizes: Tensor | None,
    wanted: int,
) -> list[Tensor]:
    """As `_layer_backward`, with λ by the linear_scan and δ = f' ⊙ g ⊙ λ."""
    _, N, H = h_0.shape
    x_bar, h_0_bar, weight_bars = lying_as(x).zero_(), h_0.new_zeros(h_0.shape), []
    lambdas, of_units = [], []
    gates = from_flat(factors) or [Gates()] * len(h_0)
    for d, (weight_ih, weight_hh, *biases) in enumerate(directions(weights, bias)):
        initial, reverse = h_0[d], d == 1
        h = output.narrow(-1, d * H, H).contiguous()
        h_bar = torch.zeros_like(h)
        if output_bar is not None:
            h_bar += output_bar.narrow(-1, d * H, H)
        if h_n_bar is not None:
            h_0_bar[d] += _add_at_the_ends(h_bar, h_n_bar[d], batch_sizes, reverse)
        g, q, e, _ = gates[d].spread(h, batch_sizes)
        inner = (y if y.dim() > 1 else output).narrow(-1, d * H, H)
        through = both(slope(inner, NAMES[number], bound or None), g)
        after = [None if c is None else following(c, batch_sizes, reverse) for c in (q, through, e)]
        lambda_ = _backend(h).linear_scan(
            h_bar, weight_hh, torch.zeros_like(initial), after[0], after[1], after[2],
            batch_sizes, not reverse,
        )  # fmt: skip
        delta = scaled(through, lambda_)
        x_bar += product(delta, weight_ih)

        def first(c: Tensor, reverse: bool = reverse) -> Tensor:
            return begun(c, batch_sizes, reverse, N)

        back = product(first(delta), weight_hh)
        h_0_bar[d] += back if q is None else first(q) * back
        if e is not None:
            h_0_bar[d] += first(e) * first(lambda_)
        before = previous(h, initial, batch_sizes, reverse)
        weight_bars += [
            outer(delta, x, weight_ih),
            outer(delta, scaled(q, before), weight_hh),
            *(delta.flatten(0, -2).sum(0) for _ in biases),
        ]
        lambdas.append(lambda_)
        left = gates[d].r
        kept = before
        if left is not None:
            kept = spread(numbers(left, before), before.shape, batch_sizes) * before
        of_units.append((lambda_ * (inner - kept)).flatten(0, -2).sum(0))
    bars = [x_bar if wanted & 1 else x.new_empty(0), h_0_bar if wanted & 2 else x.new_empty(0)]
    bars += [b if wanted & 4 else x.new_empty(0) for b in weight_bars]
    bars.append(torch.cat(lambdas, -1) if wanted & 8 else x.new_empty(0))
    return [*bars, torch.stack(of_units) if wanted & 16 else x.new_empty(0)]


@_elsewhere("normed_layer")
@_elsewhere("normed_layer_backward")
def _normed(*_: Any) -> Any:
    """Only a graph made where the kernels are has them; the layer itself is a plain loop here."""
    raise RuntimeError(
        "a graph with a normalised layer in it should run on the CPU, with the compiled kernels "
        f"of elman: {cpu.problem() or 'the tensors are elsewhere'}; compile or export it here anew"
    )


def _add_at_the_ends(
    h_bar: Tensor, last_bar: Tensor, batch_sizes: Tensor | None, reverse: bool
) -> Tensor:
    """Add, in place, what arrives at each row's last state; give back the rows of length zero's."""
    if len(h_bar) == 0:
        return last_bar
    if batch_sizes is None:
        h_bar[0 if reverse else -1] += last_bar
        return torch.zeros_like(last_bar)
    live, place = edge(batch_sizes, len(last_bar), not reverse)
    live, place = live[:, None].to(h_bar.device), place.to(h_bar.device)
    h_bar.index_add_(0, place, torch.where(live, last_bar, 0))
    return torch.where(live, 0, last_bar)
