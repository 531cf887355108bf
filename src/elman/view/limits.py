"""How much of a network goes on a page: small ones whole, of large ones the units that tell most.

The units left out are not lost from the arithmetic: what they add to each sum goes along as one
number, so that every sum still comes to what the network computed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from elman.view.chains import Chain

STEPS, MOST_STEPS = 100, 1000  # shown by default, and at most
NUMBERS, PER_STEP = 150_000, 700  # on a page: for the first hundred steps, and for each beyond
LEAST = 8  # units of a chain that are shown at least
MOST_UNITS = 512


@dataclass(frozen=True)
class Kept:
    """The inputs and units of a chain that are shown, in their order."""

    inputs: Tensor
    units: Tensor


def kept(chains: list[Chain], shown: slice, directions: int) -> list[Kept]:
    """What is shown of each chain.

    Args:
        chains: in the order of the stack.
        shown: the steps that are.
        directions: D.

    The units are those whose state moves most over these steps, the inputs those that do.
    """
    L = shown.stop - shown.start
    share = (NUMBERS + PER_STEP * max(0, L - STEPS)) // len(chains)
    found: list[Kept] = []
    for k in range(0, len(chains), directions):
        layer = chains[k : k + directions]
        x = layer[0].inputs[shown]
        H, F = layer[0].states.shape[1], x.shape[1]
        below = None
        if k and chains[k - 1].output is None:  # of the layer below those that are shown of it
            H_below = chains[k - 1].states.shape[1]
            parts = [of.units + d * H_below for d, of in enumerate(found[-directions:])]
            below = torch.cat(parts)
        more = 2 * layer[0].weights.step.f.own  # a function's values and slopes go along
        more += sum(of is not None for of in (layer[0].other, layer[0].skipped, layer[0].output))
        U, P = _sizes((H, F, L, more), share, None if below is None else len(below))
        inputs = below if below is not None else _liveliest(x, P)
        found += [Kept(inputs, _liveliest(chain.states[shown], U)) for chain in layer]
    return found


def _sizes(of: tuple[int, int, int, int], share: int, below: int | None) -> tuple[int, int]:
    """How many units and inputs of a chain, `_numbers`'s `of`, fit into its share of numbers."""
    H, F, _, _ = of
    U, P = min(H, MOST_UNITS), min(F, MOST_UNITS) if below is None else below
    while _numbers(U, P, *of) > share:
        if below is None and LEAST < P and (P >= U or U <= LEAST):
            P = max(LEAST, P * 9 // 10)
        elif U > LEAST:
            U = max(LEAST, U * 9 // 10)
        else:
            break
    return U, P


def _numbers(U: int, P: int, H: int, F: int, L: int, more: int) -> int:
    """How many a chain takes: weights, states and inputs, what the others add, and so many more
    of each unit at each step.
    """
    return U * (U + P + 5) + L * (U + P) + L * U * ((U < H) + (P < F) + more)


def _liveliest(x: Tensor, number: int) -> Tensor:
    """The columns that move most, in their order."""
    if number >= x.shape[1]:
        return torch.arange(x.shape[1])
    moves = x.double().std(0, correction=0) + 1e-9 * x.double().abs().mean(0)
    return moves.topk(number).indices.sort().values
