"""The layer composed of scans and torch's own products: every dtype, device and transform.

That is how it runs where it is not one operator, `in_one_piece`. Where it is, its gradients are
another operator; to be differentiated themselves they are computed once more, `differentiable`.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from elman.ops import cpu, operators, reference
from elman.ops.activations import Nonlinearity
from elman.ops.doors import AUTOCAST_FROM, scan, traced, transformed, watched
from elman.ops.gates import Gates
from elman.ops.layout import ended
from elman.ops.norm import Norm
from elman.ops.select import asked_for, select


class Kind(NamedTuple):
    """What a layer does with its tensors; `eps` is its norms', if it has any."""

    nonlinearity: Nonlinearity
    bias: bool
    bound: float | None = None
    eps: float | None = None


@cache
def _nothing(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.empty(0, dtype=dtype, device=device)


#: The gates and the norms of every direction, in tensors that they are taken from the front of.
Take = Callable[[list[Tensor]], tuple[list[Gates], list[Norm]]]


def in_one_piece(tensors: Sequence[Tensor]) -> bool:
    """Whether the kernels' own layer serves: a plain call, in a dtype they have."""
    for t in tensors:
        if not t.is_cpu:
            return False
    x = tensors[0]
    if x.dtype not in cpu.OWN or torch.is_autocast_enabled("cpu") or transformed() or traced():
        return False
    if asked_for() is None:  # the kernels come first, so that no more need be asked
        return cpu.problem() is None
    return select(x.device, x.dtype).backend == "cpu"


def on_one_gpu(tensors: Sequence[Tensor], H: int, may_cast: bool = False) -> bool:
    """Whether the GPU kernel's own layer of H units serves, likewise.

    Args:
        may_cast: whether under autocast they will be turned into the dtype of that.
    """
    return tensors[0].is_cuda and alike(tensors, H, may_cast)


def alike(tensors: Sequence[Tensor], H: int, may_cast: bool) -> bool:
    """Whether that layer serves tensors of a device that has its kernel."""
    device, dtype = tensors[0].device, tensors[0].dtype
    cast = torch.is_autocast_enabled(device.type)
    if (cast and not may_cast) or transformed() or traced() or watched(tensors[0]):
        return False
    for t in tensors:
        if t.device != device or (t.dtype not in AUTOCAST_FROM if cast else t.dtype != dtype):
            return False
    if cast:
        dtype = torch.get_autocast_dtype(device.type)
    return _backend_of(device, dtype, asked_for(), H) == "cuda"


@cache
def _backend_of(device: torch.device, dtype: torch.dtype, wanted: str | None, H: int) -> str:
    """What `select` chooses, which takes longer to find than a small layer does."""
    return select(device, dtype, wanted, H).backend


def differentiated(tensors: Sequence[Tensor | None]) -> bool:
    """Whether autograd is to hear of a call: never in inference mode, as of torch's operators."""
    return (
        torch.is_grad_enabled()
        and any(t is not None and t.requires_grad for t in tensors)
        and not torch.is_inference_mode_enabled()
    )


def check_devices(tensors: Sequence[Tensor]) -> None:
    """Torch's products let some mixtures through."""
    x = tensors[0]
    for t in tensors[1:]:
        if t.device != x.device:
            raise RuntimeError(
                f"the input is on {x.device} but a weight or h_0 on {t.device}; move one of them"
            )


def to_be_transformed(*bars: Tensor | None) -> bool:
    """Whether these gradients are to be differentiated themselves, or are many at once.

    The layer's operator has no rule for many, as torch.autograd.grad's is_grads_batched asks for;
    torch runs a scan's for one after another.
    """
    many = torch._C._functorch.is_legacy_batchedtensor
    return (
        torch.is_grad_enabled()
        or any(bar is not None and many(bar) for bar in bars)
        or transformed()
    )


def stamp_of(output: Tensor) -> Tensor:
    """A tensor without numbers that has the version counter of the output."""
    stamp = output.detach()
    ordinary = type(output) is Tensor  # and not a fake one, which would not serve another call
    stamp.data = _nothing(output.dtype, output.device) if ordinary else torch.empty_like(output[:0])
    return stamp


def composed(
    kind: Kind,
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Sequence[Tensor]],
    gates: Sequence[Gates],
    batch_sizes: Tensor | None,
    norms: Sequence[Norm] = (),
) -> tuple[Tensor, Tensor]:
    """As `elman.ops.layer`; without any gates the sequence of them is empty.

    With norms it is the plain loop, which torch differentiates.
    """
    outputs, last = [], []
    for direction, (weight_ih, weight_hh, *biases) in enumerate(weights):
        initial, reverse = h_0[direction], direction == 1
        a = functional.linear(x, weight_ih, biases[0] + biases[1] if biases else None)
        g, q, e, _ = gates[direction].spread(a, batch_sizes) if gates else Gates()
        if norms:
            h, _ = reference.gated_scan(
                a, weight_hh, initial, kind.nonlinearity, g, q, e, kind.bound, batch_sizes,
                reverse, norms[direction],
            )  # fmt: skip
        else:
            h = scan(
                a, weight_hh, initial, kind.nonlinearity,
                g=g, q=q, e=e, bound=kind.bound, batch_sizes=batch_sizes, reverse=reverse,
            )  # fmt: skip
        outputs.append(h)
        last.append(ended(h, initial.to(h.dtype), batch_sizes, reverse))
    if len(outputs) > 1:
        return torch.cat(outputs, -1), torch.stack(last)
    (output,) = outputs
    # the rules saved the scan's own states; the caller's are free to be written in
    # (vmap hides that a gradient is wanted outside it; torch.jit.trace compares what it writes down
    # with a gradient and without)
    kept = (output.requires_grad or transformed()) and not traced()
    return output.clone() if kept else output, torch.stack(last)


def differentiable(
    kind: Kind,
    tensors: Sequence[Tensor],
    take: Take,
    batch_sizes: Tensor | None,
    bars: tuple[Tensor | None, Tensor | None],
    wants: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients once more, as the layer composed of scans has them.

    Args:
        tensors: x, h_0, and the others: gates, norms, weights.
        take: the gates and the norms, from the others.
        bars: those of output and h_n.
        wants: of each tensor, whether its gradient is wanted.
    """
    onward = torch.is_grad_enabled()
    with torch.enable_grad():
        aliases = [t.view_as(t) for t in tensors]  # so that no hook of the caller's runs in here
        x, h_0, *others = aliases
        gates, norms = take(others)
        weights = operators.directions(others, kind.bias)
        results = composed(kind, x, h_0, weights, gates, batch_sizes, norms)
    given = [(r, bar) for r, bar in zip(results, bars, strict=True) if bar is not None]
    wanted = [a for a, wants_a in zip(aliases, wants, strict=True) if wants_a]
    found = iter(
        torch.autograd.grad(
            [r for r, _ in given], wanted, [bar for _, bar in given],
            create_graph=onward, allow_unused=True,
        )
    )  # fmt: skip
    return [next(found) if wants_one else None for wants_one in wants]
