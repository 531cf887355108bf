"""A network and one input as plain numbers: everything that a page shows, and nothing else.

Weights go in once, states once a step; the page multiplies them itself, in float64, and shows
beside its sum what the network computed.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import elman
from elman.view.chains import Chain, run
from elman.view.limits import MOST_STEPS, STEPS, Kept, kept
from elman.view.memory import Memory, memory_of
from elman.view.reading import Reading


@dataclass(frozen=True)
class Trace:
    """What was read, and all numbers on the way.

    Attributes:
        reading: the model and the input.
        chains: a direction of a layer each, from the bottom up, over all L steps.
        memory: of each chain.
        shown: the steps that go on the page.
        kept: the inputs and units of each chain that do.
    """

    reading: Reading
    chains: list[Chain]
    memory: list[Memory]
    shown: slice
    kept: list[Kept]

    def document(self) -> dict[str, Any]:
        """For the page: numbers are tensors and arrays, which `elman.view.packing` packs."""
        of, shown = self.reading, self.shown
        first = shown.start
        return {
            "task": of.task,
            "network": of.network,
            "f": of.stack.nonlinearity,
            "bias": of.stack.bias,
            "layers": of.stack.layers,
            "directions": of.stack.directions,
            "sizes": {"F": of.stack.input_size, "H": of.stack.hidden_size},
            "concat": of.concat,
            "inputs": of.inputs,
            "steps": [{"label": s.label, "known": s.known} for s in of.steps[shown]],
            "first": first,
            "of": len(of.steps),
            "loss": of.loss_facts,
            "advice": of.advice,
            "outputs": of.outputs(first),
            "chains": [self._chain(k) for k in range(len(self.chains))],
            "versions": {"elman": elman.__version__, "torch": torch.__version__},
        }

    def _chain(self, k: int) -> dict[str, Any]:
        chain, memory, shown = self.chains[k], self.memory[k], self.shown
        units, inputs = self.kept[k].units, self.kept[k].inputs
        w, before = chain.weights, chain.before[shown]
        x, h = chain.inputs[shown], chain.states[shown]
        gone_back = slice(shown.start - chain.since, None)
        all_units = len(units) == h.shape[1]
        return {
            "layer": w.layer,
            "reverse": w.reverse,
            "units": units.tolist(),
            "inputs": inputs.tolist(),
            "inputSize": x.shape[1],
            "weightIh": w.weight_ih[units][:, inputs],
            "weightHh": w.weight_hh[units][:, units],
            "biasIh": w.bias_ih[units],
            "biasHh": w.bias_hh[units],
            "x": x[:, inputs] if k == 0 else None,  # above, the states of the layer below
            "h": h[:, units],
            "before": (before[-1] if w.reverse else before[0])[units],
            "restIh": _rest(x, w.weight_ih, units, inputs),
            "restHh": _rest(before, w.weight_hh, units, units),
            "others": None if all_units else _others(h, units),
            "gradient": chain.gradient[gone_back],
            "gain": memory.gain[gone_back],
            "jacobian": memory.jacobian[gone_back],
            "radius": memory.radius,
            "verdict": memory.verdict,
            "lasts": memory.lasts,
            "exact": memory.exact,
            "whole": len(memory.gain),
        }


def _rest(x: Tensor, weight: Tensor, units: Tensor, columns: Tensor) -> Tensor | None:
    """What the columns that are not shown add to each unit at each step, (L, U)."""
    if len(columns) == x.shape[1]:
        return None
    left = torch.ones(x.shape[1], dtype=torch.bool)
    left[columns] = False
    return x[:, left].double() @ weight[units][:, left].double().mT


def _others(h: Tensor, units: Tensor) -> Tensor:
    """The mean |h| of the units that are not shown, (L,)."""
    left = torch.ones(h.shape[1], dtype=torch.bool)
    left[units] = False
    return h[:, left].abs().mean(1)


def trace_of(reading: Reading, steps: int = STEPS) -> Trace:
    """Step through an input.

    Args:
        reading: the model and the input.
        steps: how many of the last are shown; all are read. Default: 100.

    Raises:
        ValueError: `steps` is out of range; or as `elman.view.chains.run`.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps should be from 1 to {MOST_STEPS}, got {steps}")
    L = len(reading.steps)
    shown = slice(max(0, L - steps), L)
    chains = run(reading.stack, reading.x, reading.h_0, reading.states, reading.loss, shown.start)
    memory = [memory_of(chain, reading.stack.nonlinearity) for chain in chains]
    parts = kept(chains, shown, reading.stack.directions)
    return Trace(reading, chains, memory, shown, parts)
