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
from elman.view.stack import Stack


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
            **_kind(of.stack),
            "sizes": {"F": of.stack.input_size, "H": [part.units for part in of.stack.parts]},
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
        all_units = len(units) == w.units
        D = self.reading.stack.directions
        # above the lowest layer the states of the layer below, where it gives on no more than those
        given = k % D == 0 and (k == 0 or self.chains[k - 1].output is not None)
        return {
            "layer": w.layer,
            "reverse": w.reverse,
            "H": w.units,
            "units": units.tolist(),
            "inputs": inputs.tolist(),
            "inputSize": x.shape[1],
            "weightIh": w.weight_ih[units][:, inputs],
            "weightHh": w.weight_hh[units][:, units],
            "biasIh": w.bias_ih[units],
            "biasHh": w.bias_hh[units],
            "x": x[:, inputs] if given else None,
            "h": h[:, units],
            "before": (before[-1] if w.reverse else before[0])[units],
            "restIh": _rest(x, w.weight_ih, units, inputs),
            "restHh": _rest(before, w.weight_hh, units, units),
            "others": None if all_units else _others(h, units),
            **_besides(chain, shown, units),
            "gradient": chain.gradient[gone_back],
            "gain": memory.gain[gone_back],
            "arrives": _number(memory.gain[-1 if w.reverse else 0]),
            "most": _number(memory.gain.max()),
            "jacobian": memory.jacobian[gone_back],
            "radius": memory.radius,
            "verdict": memory.verdict,
            "lasts": memory.lasts,
            "exact": memory.exact,
            "whole": len(memory.gain),
        }


def _kind(stack: Stack) -> dict[str, Any]:
    """What all layers do, and how they are put together."""
    rnn = stack.rnn
    dynamics, wiring = rnn.dynamics_or_plain, rnn.wiring_or_plain
    off = dynamics.recurrent_dropout or dynamics.noise
    return {
        "f": stack.f.name,
        "own": stack.f.own,
        "biases": stack.biases,
        "layers": stack.layers,
        "directions": stack.directions,
        "clip": dynamics.clip,
        "leak": dynamics.leak if isinstance(dynamics.leak, float | int) else None,
        "learnLeak": dynamics.learn_leak,
        "zoneout": dynamics.zoneout,
        "merge": wiring.merge if stack.merges() else None,
        "learnFirst": wiring.learn_h_0,
        "off": bool(off or wiring.input_dropout or wiring.output_dropout),
    }


def _besides(chain: Chain, shown: slice, units: Tensor) -> dict[str, Any]:
    """Of a chain, what there is beyond a plain step."""
    w, inside = chain.weights, chain.inside
    norm, some = w.step.norm, len(units) < w.units

    def of(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[shown][:, units]

    return {
        "g": None if w.g is None else w.g[units],
        "normWeight": None if norm is None else norm.weight[units],
        "normBias": None if norm is None else norm.bias[units],
        "eps": None if norm is None else norm.eps,
        # mean and 1/spread of all units; the page finds them where it has all
        "mean": inside.mean[shown, 0] if some and inside.mean is not None else None,
        "scale": inside.scale[shown, 0] if some and inside.scale is not None else None,
        "y": of(inside.y) if w.step.f.own else None,
        "slope": of(inside.slopes.own) if w.step.f.own else None,
        "other": of(chain.other),
        "skipped": of(chain.skipped),
        "output": of(chain.output),
    }


def _number(x: Tensor) -> float | None:
    """As JSON has it; None where it is not finite."""
    return float(x) if x.isfinite() else None


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
    chains = run(reading.stack, reading.x, reading.h_0, reading.top, reading.loss, shown.start)
    memory = [memory_of(chain) for chain in chains]
    parts = kept(chains, shown, reading.stack.directions)
    return Trace(reading, chains, memory, shown, parts)
