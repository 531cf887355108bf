"""The recurrence as PyTorch operators: what a graph holds that torch.compile or torch.export makes.

    elman::scan, elman::linear_scan        the two loops over time
    elman::gated_scan                      the first of them between gates
    elman::layer, elman::layer_backward    a layer whole, and its gradients
    elman::gated_layer, ..._backward       the same between gates
    elman::normed_layer, ..._backward      the same with a norm inside; in the kernels alone

An operator has a schema, a shape for tensors without numbers, and a reverse rule (rules.py; the
layers' are in layer.py and gated_layer.py). Where it runs is the dispatcher's choice: in the
compiled kernels for the CPU where they are built, in torch's own anywhere else (elsewhere.py). A
registered operator has no forward mode and does not work under torch.func, so eager calls go by
the torch.autograd.Functions instead.
"""

from typing import TypeVar

import torch
from torch import Tensor

from elman.ops import cpu
from elman.ops.activations import NUMBERS

Of = TypeVar("Of")

#: The nonlinearities by the number an operator is told.
NAMES = {number: name for name, number in NUMBERS.items()}

_SCHEMAS = {
    "scan": "(Tensor a, Tensor weight_hh, Tensor h_0, int nonlinearity, Tensor? batch_sizes, "
    "bool reverse) -> Tensor",
    "gated_scan": "(Tensor a, Tensor weight_hh, Tensor h_0, Tensor? g, Tensor? q, Tensor? e, "
    "int nonlinearity, float bound, Tensor? batch_sizes, bool reverse) -> (Tensor, Tensor)",
    "linear_scan": "(Tensor x, Tensor weight, Tensor s_0, Tensor? p, Tensor? q, Tensor? e, "
    "Tensor? batch_sizes, bool reverse) -> Tensor",
    "layer": "(Tensor input, Tensor h_0, Tensor[] weights, bool bias, int nonlinearity, "
    "Tensor? batch_sizes) -> (Tensor, Tensor)",
    "layer_backward": "(Tensor? output_bar, Tensor? h_n_bar, Tensor input, Tensor h_0, "
    "Tensor output, Tensor[] weights, bool bias, int nonlinearity, Tensor? batch_sizes, "
    "int wanted) -> Tensor[]",
    "gated_layer": "(Tensor input, Tensor h_0, Tensor[] weights, bool bias, int nonlinearity, "
    "float bound, Tensor[] factors, bool keep, Tensor? batch_sizes) -> (Tensor, Tensor, Tensor)",
    "gated_layer_backward": "(Tensor? output_bar, Tensor? h_n_bar, Tensor input, Tensor h_0, "
    "Tensor output, Tensor y, Tensor[] weights, bool bias, int nonlinearity, float bound, "
    "Tensor[] factors, Tensor? batch_sizes, int wanted) -> Tensor[]",
    "normed_layer": "(Tensor input, Tensor h_0, Tensor[] weights, bool bias, int nonlinearity, "
    "float bound, Tensor[] factors, Tensor[] norms, float eps, bool keep, Tensor? batch_sizes) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "normed_layer_backward": "(Tensor? output_bar, Tensor? h_n_bar, Tensor input, Tensor h_0, "
    "Tensor output, Tensor y, Tensor even, Tensor scales, Tensor[] weights, bool bias, "
    "int nonlinearity, float bound, Tensor[] factors, Tensor[] norms, float eps, "
    "Tensor? batch_sizes, int wanted) -> Tensor[]",
}
for _name, _schema in _SCHEMAS.items():
    torch.library.define(f"elman::{_name}", _schema, tags=(torch.Tag.pt2_compliant_tag,))


def directions(weights: list[Of], bias: bool) -> list[list[Of]]:
    """What is of the weights of each direction, from that of all of them in a row."""
    each = 4 if bias else 2
    return [weights[k : k + each] for k in range(0, len(weights), each)]


def scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    nonlinearity: str = "tanh",
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """As `reference.scan`."""
    number = NUMBERS[nonlinearity]
    wide = _wide(a, weight_hh, h_0)
    h: Tensor = torch.ops.elman.scan.default(*wide, number, batch_sizes, reverse)
    return h.to(a.dtype)


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
    wide = _wide(a, weight_hh, h_0, g, q, e)
    number = NUMBERS[nonlinearity]
    h, y = torch.ops.elman.gated_scan.default(*wide, number, bound or 0.0, batch_sizes, reverse)
    return h.to(a.dtype), y.to(a.dtype)


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
