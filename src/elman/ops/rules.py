"""What a graph asks of an operator: the shapes of what it returns, and its reverse rule."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from elman.ops.derivatives import GatedScan, LinearScan, Scan
from elman.ops.gates import from_flat
from elman.ops.layout import lying_as
from elman.ops.operators import NAMES
from elman.ops.select import OPERATORS

# --- shapes, for tensors that have no numbers ---------------------------------------------


def _returns(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the shapes of what an operator returns, of tensors that are on one device."""

    def register(shape: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*arguments: Any) -> Any:
            given = [
                a for group in arguments for a in (group if isinstance(group, list) else [group])
            ]
            tensors = [t for t in given if isinstance(t, Tensor)]
            floats = [t for t in tensors if t.is_floating_point() or t.device.type != "cpu"]
            places = {t.device for t in floats}  # batch_sizes are on the CPU always
            if len(places) > 1:
                found = ", ".join(sorted(map(str, places)))
                raise ValueError(f"all tensors should be on one device, got {found}")
            return shape(*arguments)

        torch.library.register_fake(f"elman::{name}", checked)
        return shape

    return register


@_returns("scan")
@_returns("linear_scan")
def _scan_shape(x: Tensor, *_: Any) -> Tensor:
    return x.new_empty(x.shape)


@_returns("gated_scan")
def _gated_scan_shape(
    a: Tensor, W: Tensor, h_0: Tensor, g: Tensor | None, q: Any, e: Tensor | None, *_: Any
) -> tuple[Tensor, Tensor]:
    y = a.shape if g is not None or e is not None else 0
    return a.new_empty(a.shape), a.new_empty(y)


@_returns("gated_layer")
def _gated_layer_shape(
    x: Tensor, h_0: Tensor, weights: Any, bias: Any, number: Any, bound: Any,
    factors: list[Tensor], keep: bool, batch_sizes: Any,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    output, h_n = _layer_shape(x, h_0)
    kept = keep and any(one.keeps_y for one in from_flat(factors))
    return output, h_n, x.new_empty(output.shape if kept else 0)


@_returns("gated_layer_backward")
def _gated_gradient_shapes(
    output_bar: Any, h_n_bar: Any, x: Tensor, h_0: Tensor, output: Tensor, y: Any,
    weights: list[Tensor], bias: bool, number: int, bound: float, factors: Any, batch_sizes: Any,
    wanted: int,
) -> list[Tensor]:  # fmt: skip
    given = output_bar, h_n_bar, x, h_0, output, weights, bias, number, batch_sizes, wanted
    lambda_ = x.new_empty(output.shape if wanted & 8 else 0)
    of_units = x.new_empty((h_0.shape[0], h_0.shape[2]) if wanted & 16 else 0)
    return [*_gradient_shapes(*given), lambda_, of_units]


@_returns("normed_layer")
def _normed_layer_shape(
    x: Tensor, h_0: Tensor, weights: Any, bias: Any, number: Any, bound: Any,
    factors: list[Tensor], norms: Any, eps: Any, keep: bool, batch_sizes: Any,
) -> tuple[Tensor, ...]:  # fmt: skip
    given = x, h_0, weights, bias, number, bound, factors, keep, batch_sizes
    output, h_n, y = _gated_layer_shape(*given)
    each_row = (*output.shape[:-1], h_0.shape[0])
    even, scales = (x.new_empty(shape if keep else 0) for shape in (output.shape, each_row))
    return output, h_n, y, even, scales


@_returns("normed_layer_backward")
def _normed_gradient_shapes(
    output_bar: Any, h_n_bar: Any, x: Tensor, h_0: Tensor, output: Tensor, y: Any, even: Any,
    scales: Any, weights: list[Tensor], bias: bool, number: int, bound: float, factors: Any,
    norms: Any, eps: Any, batch_sizes: Any, wanted: int,
) -> list[Tensor]:  # fmt: skip
    given = output_bar, h_n_bar, x, h_0, output, y, weights, bias, number, bound, factors
    of_norm = (h_0.shape[0], h_0.shape[2]) if wanted & 32 else (0,)
    return [
        *_gated_gradient_shapes(*given, batch_sizes, wanted),
        x.new_empty(of_norm),
        x.new_empty(of_norm),
    ]


@_returns("layer")
def _layer_shape(x: Tensor, h_0: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    D, _N, H = h_0.shape
    return x.new_empty(*x.shape[:-1], D * H), h_0.new_empty(h_0.shape)


@_returns("layer_backward")
def _gradient_shapes(
    output_bar: Any, h_n_bar: Any, x: Tensor, h_0: Tensor, output: Any, weights: list[Tensor],
    bias: bool, number: int, batch_sizes: Any, wanted: int,
) -> list[Tensor]:  # fmt: skip
    x_bar = lying_as(x) if wanted & 1 else x.new_empty(0)
    h_0_bar = h_0.new_empty(h_0.shape if wanted & 2 else 0)
    return [x_bar, h_0_bar, *(w.new_empty(w.shape if wanted & 4 else 0) for w in weights)]


# --- the reverse rules of operators called directly ---------------------------------------


def _keep_scan(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, number, batch_sizes, reverse = inputs
    Scan.setup_context(ctx, (*tensors, NAMES[number], batch_sizes, reverse, OPERATORS), output)


def _scan_rule(ctx: Any, h_bar: Tensor | None) -> tuple:
    return Scan.backward(ctx, h_bar)[:6]


def _keep_gated_scan(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    *tensors, number, bound, batch_sizes, reverse = inputs
    given = NAMES[number], bound or None, batch_sizes, reverse, OPERATORS
    GatedScan.setup_context(ctx, (*tensors, *given), output)


def _gated_scan_rule(ctx: Any, h_bar: Tensor | None, y_bar: Tensor | None) -> tuple:
    return GatedScan.backward(ctx, h_bar, y_bar)[:10]


def _keep_linear_scan(ctx: Any, inputs: tuple, output: Tensor) -> None:
    LinearScan.setup_context(ctx, (*inputs, OPERATORS), output)


def _linear_scan_rule(ctx: Any, s_bar: Tensor | None) -> tuple:
    return LinearScan.backward(ctx, s_bar)[:8]


torch.library.register_autograd("elman::scan", _scan_rule, setup_context=_keep_scan)
torch.library.register_autograd(
    "elman::gated_scan", _gated_scan_rule, setup_context=_keep_gated_scan
)
torch.library.register_autograd(
    "elman::linear_scan", _linear_scan_rule, setup_context=_keep_linear_scan
)
