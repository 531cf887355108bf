"""A sequence read step by step, and the backward pass through every state of it.

Layers and directions are chains of states. They are run one step at a time, so that each h_t is a
node of its own for autograd; only then is ∂L/∂h_t the whole derivative, along all paths. Each step
begins with the state that the network came to run in one go, and is held against the next one: in a
chaotic network two runs part from each other by rounding alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from elman.view.stack import Stack, Weights
from elman.view.steps import Inside, Jacobians

#: A step taken alone and within a run may differ by rounding; by more, of the largest state, where
#: the model computes something else than its weights say.
ROUNDING = 1e-3


@dataclass(frozen=True)
class Top:
    """What a head may read, each step a tensor of its own.

    Attributes:
        outputs: of the top layer, at each step, (W,).
        states: of each of its directions, at each step, (H,).
        reverse: whether a direction reads from the end.
    """

    outputs: list[Tensor]
    states: list[list[Tensor]]
    reverse: list[bool]

    @property
    def last(self) -> Tensor:
        """The last state that each direction comes to, side by side, (D·H,)."""
        pairs = zip(self.states, self.reverse, strict=True)
        return torch.cat([of[0] if reverse else of[-1] for of, reverse in pairs])


#: From what a head may read to a number.
Loss = Callable[[Top], Tensor]


@dataclass(frozen=True)
class Chain:
    """One direction of one layer, run over L steps.

    Attributes:
        weights: of it.
        inputs: x_t, (L, F); above the lowest layer what the layer below gives on.
        states: h_t, (L, H).
        first: the state before the first step it reads, (H,).
        gradient: |∂L/∂h_t|, from step `since` on.
        other: the states of the other direction, where the two become one, (L, H); else None.
        skipped: what of the input is added to these states, (L, H); None where nothing is.
        output: what the layer gives on of these units, (L, H); None where that is h_t.
        since: the first step that was gone back to.
    """

    weights: Weights
    inputs: Tensor
    states: Tensor
    first: Tensor
    gradient: Tensor
    other: Tensor | None = None
    skipped: Tensor | None = None
    output: Tensor | None = None
    since: int = 0

    @property
    def before(self) -> Tensor:
        """The state each step began with, (L, H)."""
        if self.weights.reverse:
            return torch.cat([self.states[1:], self.first[None]])
        return torch.cat([self.first[None], self.states[:-1]])

    @cached_property
    def inside(self) -> Inside:
        """What each step went through, from the states that the network computed, in float64."""
        w = self.weights
        a = self.inputs.double() @ w.weight_ih.double().mT
        a = a + w.bias_ih.double() + w.bias_hh.double()
        return w.step.inside(a + self.before.double() @ w.weight_hh.double().mT)

    @cached_property
    def jacobians(self) -> Jacobians:
        """∂h_t/∂h_{t-1} of each step, in float64."""
        g = None if self.weights.g is None else self.weights.g.double()
        e = None if g is None else 1 - g
        return self.weights.step.jacobians(self.weights.weight_hh.double(), self.inside, g, None, e)


def run(
    stack: Stack, x: Tensor, h_0: Sequence[Tensor], top: Tensor, loss: Loss, start: int = 0
) -> list[Chain]:
    """Read a sequence and go back through it.

    Args:
        stack: the network.
        x: (L, F), float32, L at least 1.
        h_0: a state for each part of the stack, (H,).
        top: the top layer's output as the network computed it, (L, W).
        loss: L, of the top layer, which must hang on steps from `start` on.
        start: the step to go back to, where that can be; where a direction reads from the end,
            it is all of them. Default: 0.

    Returns:
        A chain for each part of the stack, in its order.

    Raises:
        ValueError: `top` is not what follows from the weights, as where a hook changes it.
    """
    D = stack.directions
    since = 0 if any(part.reverse for part in stack.parts) else start
    inputs = [x]
    states: list[Tensor] = []  # of each part, in one go
    for k in range(stack.layers):
        last = k + 1 == stack.layers
        if last and not (stack.adds(k) or stack.merges()):  # the output is its states
            states += top.chunk(D, 1)
            break
        begin = torch.stack(list(h_0[k * D : k * D + D]))
        states += stack.alone(stack.of_layer(k))(inputs[k], begin)[0].chunk(D, 1)
        inputs.append(top if last else stack.joined(k, inputs[k], states[-D:]))
    inputs = [*inputs[: stack.layers], top]
    before = [of[since - 1] for of in states] if since else list(h_0)
    own = [of[since:] for of in (*states, top)]
    gradients = _gone_back(stack, x[since:], before, own, loss)
    return [
        Chain(
            part, inputs[k // D], states[k], h_0[k], gradients[k],
            *_given_on(stack, k, inputs, states), since,
        )
        for k, part in enumerate(stack.parts)
    ]  # fmt: skip


def _given_on(
    stack: Stack, k: int, inputs: list[Tensor], states: list[Tensor]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Of a chain: `other`, `skipped` and `output`."""
    D = stack.directions
    layer, d, H = k // D, k % D, stack.parts[k].units
    merges, adds = stack.merges(), stack.adds(layer)
    own = slice(0, H) if merges else slice(d * H, (d + 1) * H)  # of the layer's output
    other = states[k + 1 - 2 * d] if merges else None
    skipped = inputs[layer][:, own] if adds else None
    return other, skipped, inputs[layer + 1][:, own] if merges or adds else None


def _gone_back(
    stack: Stack, x: Tensor, h_0: list[Tensor], own: list[Tensor], loss: Loss
) -> list[Tensor]:
    """|∂L/∂h_t| of each chain.

    Args:
        own: what the network computed: the states of each part, and the top layer's output.
    """
    below = list(x.clone().requires_grad_(True).unbind())  # the graph hangs on x alone
    stepped: list[list[Tensor]] = []
    D = stack.directions
    for k in range(stack.layers):
        for part, first in zip(stack.of_layer(k), h_0[k * D : k * D + D], strict=True):
            stepped.append(_states(stack, part, below, first, own[len(stepped)]))
        steps = zip(below, *stepped[-D:], strict=True)
        below = [stack.joined(k, x_t, of) for x_t, *of in steps]  # L of (W,)
    _check(torch.stack(below).detach(), own[-1])
    reverse = [part.reverse for part in stack.parts[-D:]]
    return _gradients(loss(Top(below, stepped[-D:], reverse)), stepped)


def _check(stepped: Tensor, own: Tensor) -> None:
    difference = float((stepped - own).abs().max())
    if not difference <= ROUNDING * max(1.0, float(own.abs().max())):
        raise ValueError(
            f"the states that follow from the model's weights differ by {difference:.3g} from "
            "those it computes, or are not finite; remove hooks that change them, or train anew"
        )


def _states(stack: Stack, part: Weights, x: list[Tensor], h: Tensor, own: Tensor) -> list[Tensor]:
    """h_t with its graph, and the value that the network computed."""
    cell, found, stepped = stack.alone([part]), {}, {}
    order = range(len(x))
    for t in reversed(order) if part.reverse else order:
        _, h_n = cell(x[t][None], h[None])  # unbatched, one step
        stepped[t] = h_n[0].detach()
        h = found[t] = h_n[0] + (own[t] - stepped[t])
    _check(torch.stack([stepped[t] for t in order]), own)
    return [found[t] for t in order]


def _gradients(loss: Tensor, states: list[list[Tensor]]) -> list[Tensor]:
    """|∂L/∂h_t| of every chain; zero where L does not hang on it."""
    flat = [h for of_chain in states for h in of_chain]
    if not loss.requires_grad:
        found: list[Tensor | None] = [None] * len(flat)
    else:
        found = list(torch.autograd.grad(loss, flat, allow_unused=True))
    norms = [0.0 if g is None else g.double().norm().item() for g in found]
    L = len(states[0])
    return [torch.tensor(norms[k : k + L], dtype=torch.float64) for k in range(0, len(norms), L)]


def half_square(top: Top) -> Tensor:
    """½‖h_T‖², for a network of which no more is known than its states: each direction's last."""
    return top.last.square().sum() / 2
