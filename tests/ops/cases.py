"""The table of cases every backend of the ops is held to."""

from dataclasses import dataclass
from importlib import import_module, util

import torch
from torch import Tensor

from elman.ops import BACKENDS
from elman.ops.select import backend_module

NONLINEARITIES = ("tanh", "relu", "identity")


@dataclass(frozen=True)
class Layout:
    """Sizes, and how rows lie in memory. With `lengths` packed, one a row, longest first."""

    L: int
    N: int
    H: int
    lengths: tuple[int, ...] | None = None
    strided: bool = False

    @property
    def batch_sizes(self) -> Tensor | None:
        if self.lengths is None:
            return None
        live = [sum(length > t for length in self.lengths) for t in range(self.L)]
        return torch.tensor(live, dtype=torch.int64)

    def sequence_shape(self, groups: int | None) -> tuple[int, ...]:
        rows = (self.L, self.N) if self.lengths is None else (sum(self.lengths),)
        return (*rows, *self.row(groups))

    def row(self, groups: int | None) -> tuple[int, ...]:
        return (self.H,) if groups is None else (groups, self.H)


def packed(*lengths: int, H: int, L: int | None = None, strided: bool = False) -> Layout:
    return Layout(max(lengths, default=0) if L is None else L, len(lengths), H, lengths, strided)


LAYOUTS = {
    "dense": Layout(4, 3, 4),
    "dense,odd": Layout(7, 5, 3),
    "dense,L=1": Layout(1, 3, 4),
    "dense,L=0": Layout(0, 3, 4),
    "dense,N=1": Layout(5, 1, 3),
    "dense,N=0": Layout(4, 0, 3),
    "dense,H=1": Layout(5, 2, 1),
    "dense,strided": Layout(4, 3, 5, strided=True),
    "packed": packed(5, 3, 3, 1, H=4),
    "packed,full": packed(3, 3, H=3),
    "packed,zero-length": packed(4, 2, 0, 0, H=3),
    "packed,L=1": packed(1, 1, 1, H=3),
    "packed,L=0": packed(0, 0, H=3),
    "packed,empty-step": packed(2, 1, H=3, L=3),
    "packed,N=1": packed(4, H=3),
    "packed,N=0": packed(H=3, L=2),
    "packed,strided": packed(4, 4, 2, 1, 0, H=5, strided=True),
}


def interpret_triton() -> bool:
    """Import Triton's kernels to be interpreted, where Triton is installed.

    They decide as they are imported. So the knob is turned for that moment alone: torch.compile,
    which uses Triton too, and the processes that tests start see nothing of it.
    """
    if util.find_spec("triton") is None:
        return False
    import triton

    with triton.knobs.runtime.scope():
        triton.knobs.runtime.interpret = True
        kernels = import_module("elman.ops.triton_kernels")
    assert kernels.INTERPRETED, "they were imported before, to be compiled"
    return True


def serving(device: torch.device, dtype: torch.dtype) -> list[str]:
    """The backends that can serve here; a new one is tested without a word in any test."""
    return [name for name in BACKENDS if backend_module(name).serves(device, dtype) is None]


#: Whether there is Triton here, in its interpreter.
INTERPRETED = interpret_triton()
#: Every backend that serves here; and those that need no tens of milliseconds a step, as Triton's
#: interpreter does. What its kernels are held to is in test_triton.py.
EVERY = serving(torch.device("cpu"), torch.float32)
SERVING = [name for name in EVERY if name != "triton"]


def uniform(*shape: int, strided: bool = False, offset: int = 1) -> Tensor:
    """Uniform in ±1; strided: every second number of a wider tensor, its first two axes swapped."""
    if not strided:
        return torch.rand(shape, dtype=torch.float64) * 2 - 1
    first, second, *rest = (*shape[:-1], 2 * shape[-1] + offset)
    return (torch.rand(second, first, *rest, dtype=torch.float64) * 2 - 1).swapaxes(0, 1)[
        ..., offset::2
    ]


def scan_inputs(layout: Layout, groups: int | None, nonlinearity: str) -> tuple[Tensor, ...]:
    """a, weight_hh and h_0 in float64.

    W is at most 1/H everywhere, so |h W| ≤ max|h| in both directions and no error grows.
    For relu |a| lies in 1 to 2 and W is four times smaller: |h| ≤ 2/(1 - 1/4) = 8/3, so the
    recurrent part is at most 2/3 and the sign of the sum is that of a. No rounding, in any
    dtype, flips a unit on or off, where the derivative jumps.
    """
    row = layout.row(groups)
    a = uniform(*layout.sequence_shape(groups), strided=layout.strided) * 2
    weight = uniform(*row, layout.H, strided=layout.strided) / layout.H
    if nonlinearity == "relu":
        a, weight = a.sign() * (1 + a.abs() / 2), weight / 4
    h_0 = uniform(layout.N, *row, strided=layout.strided)
    return a, weight, h_0


def gated_inputs(
    layout: Layout, groups: int | None, names: str, nonlinearity: str = "tanh"
) -> dict[str, Tensor]:
    """a, weight_hh, h_0 and the gates named in "gqe".

    0 ≤ g ≤ 1/2 and |e| ≤ 1/2, or e = 1 - g where it is not named: what goes on of an error by both
    ways is no more than all of it. No slope is above two, so W is half of what it is for a scan.
    """
    a, weight, h_0 = scan_inputs(layout, groups, nonlinearity)
    sequence = layout.sequence_shape(groups)
    given = {name: uniform(*sequence, strided=layout.strided) for name in names}
    if "g" in given:
        given["g"] = given["g"].abs() / 2
    if "e" in given:
        given["e"] = given["e"] / 2
    return {"a": a, "weight_hh": weight / 2, "h_0": h_0, **given}


def linear_inputs(layout: Layout, groups: int | None, factors: str) -> dict[str, Tensor]:
    """x, weight, s_0 and the factors named in "pqe"; |e| ≤ 1/2 and |p W q| ≤ 1/2: no growth."""
    x, weight, s_0 = scan_inputs(layout, groups, "identity")
    sequence = layout.sequence_shape(groups)
    given = {name: uniform(*sequence, strided=layout.strided) for name in factors}
    if "e" in given:
        given["e"] = given["e"] / 2
    return {"x": x, "weight": weight / 2, "s_0": s_0, **given}


def values_and_gradients(f, tensors: dict[str, Tensor], out_bar: Tensor) -> dict[str, Tensor]:
    """f's output, and the gradient of every input for out_bar arriving at the output."""
    leaves = {name: t.detach().requires_grad_() for name, t in tensors.items()}
    out = f(**leaves)
    result = {"output": out.detach()}
    if out.requires_grad:
        gradients = torch.autograd.grad(
            out, list(leaves.values()), out_bar.to(out.dtype), materialize_grads=True
        )
    else:  # a plain loop of no steps touches nothing
        gradients = [torch.zeros_like(t) for t in leaves.values()]
    return result | {f"{n}.grad": g for n, g in zip(leaves, gradients, strict=True)}


def weights_of(D, H_in, H, bias=True):
    """Those of a layer, of each direction."""
    shapes = [(H, H_in), (H, H), *([(H,), (H,)] if bias else [])]
    return [uniform(*shape) / shape[-1] ** 0.5 for _ in range(D) for shape in shapes]
