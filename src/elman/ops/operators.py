"""The recurrence as PyTorch operators: what a graph holds that torch.compile or torch.export makes.

    elman::scan, elman::linear_scan        the two loops over time
    elman::layer, elman::layer_backward    a layer whole, and its gradients

An operator has a schema, a shape for tensors without numbers, and a reverse rule (the layer's is in
layer.py). Where it runs is the dispatcher's choice: in the compiled kernels for the CPU where they
are built, in torch's own anywhere else. A registered operator has no forward mode and does
not work under torch.func, so eager calls go by the torch.autograd.Functions instead.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from elman.ops import aten, cpu
from elman.ops.check import check_batch_sizes
from elman.ops.derivatives import LinearScan, Scan, slope
from elman.ops.layout import begun, edge, ended, outer, outer_with_previous, product, scaled
from elman.ops.select import OPERATORS

#: The nonlinearities by the number an operator is told.
NAMES = {number: name for name, number in cpu.NUMBERS.items()}

_SCHEMAS = {
    "scan": "(Tensor a, Tensor weight_hh, Tensor h_0, int nonlinearity, Tensor? batch_sizes, "
    "bool reverse) -> Tensor",
    "linear_scan": "(Tensor x, Tensor weight, Tensor s_0, Tensor? p, Tensor? q, Tensor? e, "
    "Tensor? batch_sizes, bool reverse) -> Tensor",
    "layer": "(Tensor input, Tensor h_0, Tensor[] weights, bool bias, int nonlinearity, "
    "Tensor? batch_sizes) -> (Tensor, Tensor)",
    "layer_backward": "(Tensor? output_bar, Tensor? h_n_bar, Tensor input, Tensor h_0, "
    "Tensor output, Tensor[] weights, bool bias, int nonlinearity, Tensor? batch_sizes, "
    "int wanted) -> Tensor[]",
}
for _name, _schema in _SCHEMAS.items():
    torch.library.define(f"elman::{_name}", _schema, tags=(torch.Tag.pt2_compliant_tag,))


def directions(weights: list[Tensor], bias: bool) -> list[list[Tensor]]:
    """The weights of each direction, from those of all of them in a row."""
    each = 4 if bias else 2
    return [weights[k : k + each] for k in range(0, len(weights), each)]


# --- as a backend, with the signature of all ----------------------------------------------


def scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    nonlinearity: str = "tanh",
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """As `reference.scan`."""
    number = cpu.NUMBERS[nonlinearity]
    wide = _wide(a, weight_hh, h_0)
    h: Tensor = torch.ops.elman.scan.default(*wide, number, batch_sizes, reverse)
    return h.to(a.dtype)


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
    wide = _wide(x, weight, s_0, p, q, e)
    s: Tensor = torch.ops.elman.linear_scan.default(*wide, batch_sizes, reverse)
    return s.to(x.dtype)


def _wide(x: Tensor, *others: Tensor | None) -> list[Tensor | None]:
    """The tensors in a dtype the kernels have."""
    if x.device.type != "cpu" or x.dtype not in cpu.THROUGH_FLOAT:
        return [x, *others]
    return [t if t is None else t.float() for t in (x, *others)]


# --- where there are no kernels: torch's own operators -----------------------------------


def _elsewhere(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what an operator does on devices without kernels of its own."""

    def register(composed: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            x = next(a for a in arguments if isinstance(a, Tensor) and a.is_floating_point())
            if x.is_cpu and cpu.serves(x.device, x.dtype) is None:  # that has just loaded them
                return getattr(torch.ops.elman, name).default(*arguments)
            return composed(*arguments)

        torch.library.impl(f"elman::{name}", "CompositeExplicitAutograd")(run)
        return composed

    return register


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
    return aten.scan(a, weight_hh, h_0, NAMES[number], batch_sizes, reverse)


@_elsewhere("linear_scan")
def _linear_scan(x: Tensor, weight: Tensor, s_0: Tensor, *rest: Any) -> Tensor:
    check_batch_sizes(rest[3], x, s_0)
    return aten.linear_scan(x, weight, s_0, *rest)


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
    outputs, last = [], []
    for d, (weight_ih, weight_hh, *biases) in enumerate(directions(weights, bias)):
        a = torch.nn.functional.linear(x, weight_ih, biases[0] + biases[1] if bias else None)
        h = aten.scan(a, weight_hh, h_0[d], NAMES[number], batch_sizes, d == 1)
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
    _, N, H = h_0.shape
    x_bar, h_0_bar, weight_bars = _like(x).zero_(), h_0.new_zeros(h_0.shape), []
    for d, (weight_ih, weight_hh, *biases) in enumerate(directions(weights, bias)):
        initial, reverse = h_0[d], d == 1
        h = output.narrow(-1, d * H, H).contiguous()
        h_bar = torch.zeros_like(h)
        if output_bar is not None:
            h_bar += output_bar.narrow(-1, d * H, H)
        if h_n_bar is not None:
            h_0_bar[d] += _add_at_the_ends(h_bar, h_n_bar[d], batch_sizes, reverse)
        d_h = slope(h, NAMES[number])
        delta = aten.linear_scan(
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


@_returns("layer")
def _layer_shape(x: Tensor, h_0: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    D, _N, H = h_0.shape
    return x.new_empty(*x.shape[:-1], D * H), h_0.new_empty(h_0.shape)


@_returns("layer_backward")
def _gradient_shapes(
    output_bar: Any, h_n_bar: Any, x: Tensor, h_0: Tensor, output: Any, weights: list[Tensor],
    bias: bool, number: int, batch_sizes: Any, wanted: int,
) -> list[Tensor]:  # fmt: skip
    x_bar = _like(x) if wanted & 1 else x.new_empty(0)
    h_0_bar = h_0.new_empty(h_0.shape if wanted & 2 else 0)
    return [x_bar, h_0_bar, *(w.new_empty(w.shape if wanted & 4 else 0) for w in weights)]


def _like(x: Tensor) -> Tensor:
    """A tensor of x's shape with its rows in memory as those of x."""
    if x.dim() == 3 and (x.shape[2] <= 1 or x.stride(2) == 1) and x.stride(0) < x.stride(1):
        flipped = x.transpose(0, 1)
        return flipped.new_empty(flipped.shape).transpose(0, 1)
    return x.new_empty(x.shape)


# --- the reverse rules of operators called directly ---------------------------------------


def _keep_scan(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, number, batch_sizes, reverse = inputs
    Scan.setup_context(ctx, (*tensors, NAMES[number], batch_sizes, reverse, OPERATORS), output)


def _scan_rule(ctx: Any, h_bar: Tensor | None) -> tuple:
    return Scan.backward(ctx, h_bar)[:6]


def _keep_linear_scan(ctx: Any, inputs: tuple, output: Tensor) -> None:
    LinearScan.setup_context(ctx, (*inputs, OPERATORS), output)


def _linear_scan_rule(ctx: Any, s_bar: Tensor | None) -> tuple:
    return LinearScan.backward(ctx, s_bar)[:8]


torch.library.register_autograd("elman::scan", _scan_rule, setup_context=_keep_scan)
torch.library.register_autograd(
    "elman::linear_scan", _linear_scan_rule, setup_context=_keep_linear_scan
)
