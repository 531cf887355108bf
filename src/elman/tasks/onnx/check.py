"""Holding an exported network against the one it came from."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite

import torch
from torch import Tensor, nn

from elman.errors import TrainingError
from elman.tasks.onnx.ports import Ports

# rows and steps of the inputs, short ones first; the network was traced with others
_SIZES = [(1, 1), (5, 1), (1, 2), (33, 5), (4, 9), (7, 17), (5, 30), (6, 60)]
# Both networks round each of the sums over H products of a step, in float32, to some 1e-7 of their
# size, and walk on from there, in other orders: 1e-5 of the largest output is a hundred times that,
# and far below what changes an answer that is not a toss of a coin.
_OF_SCALE = 1e-5
# A network that makes more of each rounding with every step (relu, the identity, or tanh beyond
# the edge of chaos) does so to torch's own as well. How far torch is from float64, after so many
# steps, tells how much; of two walks of that kind one is seldom ten times as far off as the other.
_OF_TORCH = 10.0


@dataclass(frozen=True)
class Difference:
    """How far two networks are apart on all inputs they were given.

    Attributes:
        largest: absolute, over all outputs.
        share: of what rounding explains, in the output where it is the largest share.
        rows, steps: of how many rows the inputs were together, and of how many steps the longest.
    """

    largest: float
    share: float
    rows: int
    steps: int

    @property
    def fits(self) -> bool:
        """Whether both are the same network."""
        return self.share <= 1


@dataclass
class _Output:
    """One of the outputs: how far two networks are apart, and how much of that is rounding."""

    off: float = 0.0
    share: float = 0.0
    scale: float = 0.0
    rounding: float = 0.0

    def compare(self, mine: Tensor, other: Tensor, true: Tensor) -> None:
        """Take the answers to one batch, of no fewer steps than those before."""
        self.scale = max(self.scale, _largest(true))
        self.rounding = max(self.rounding, _largest(mine.double() - true))
        off = _largest(mine.double() - other.double())
        self.off = max(self.off, off)
        allowed = _OF_SCALE * max(self.scale, 1.0) + _OF_TORCH * self.rounding
        self.share = max(self.share, off / allowed)


def difference(network: nn.Module, other: nn.Module, ports: Ports) -> Difference:
    """Ask both on inputs of many sizes, as they may come.

    Args:
        network: in torch, float32, on the CPU, in eval mode.
        other: called like it.
        ports: what goes in and comes out.

    Raises:
        TrainingError: the network's own numbers are not finite.
    """
    exact = copy.deepcopy(network).double()
    found = [_Output() for _ in ports.outputs]
    for inputs in _samples(ports):
        with torch.inference_mode():
            ours = _outputs(network, inputs)
            theirs = _outputs(other, inputs)
            truth = _outputs(exact, [x.double() if x.is_floating_point() else x for x in inputs])
        for one, mine, other_one, true in zip(found, ours, theirs, truth, strict=True):
            one.compare(mine, other_one, true)
    if not all(isfinite(one.scale + one.rounding) for one in found):
        raise TrainingError(
            "the network's numbers grow beyond all bounds within "
            f"{max(L for _, L in _SIZES)} steps; train it anew with tanh for nonlinearity or a "
            "lower lr"
        )
    largest, share = max(one.off for one in found), max(one.share for one in found)
    rows, steps = sum(N for N, _ in _SIZES), max(L for _, L in _SIZES)
    return Difference(largest, share, rows, steps)


def _samples(ports: Ports) -> Iterator[list[Tensor]]:
    """Inputs of many sizes; the same each time."""
    rng = torch.Generator("cpu")
    rng.manual_seed(0)
    for N, L in _SIZES:
        yield [port.drawn({"N": N, "L": L}, rng) for port in ports.inputs]


def _outputs(network: nn.Module, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    found = network(*inputs)
    return found if isinstance(found, tuple) else (found,)


def _largest(x: Tensor) -> float:
    """The largest absolute value; infinite where one is no number."""
    return float(x.abs().nan_to_num(nan=inf, posinf=inf).max()) if x.numel() else 0.0
