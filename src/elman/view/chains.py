"""A sequence read step by step, and the backward pass through every state of it.

Layers and directions are chains of states. They are run one step at a time, so that each h_t is a
node of its own for autograd; only then is ∂L/∂h_t the whole derivative, along all paths. What comes
out is held against the network run in one go.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.view.stack import Stack, Weights

#: Stepped through and run in one go, states may differ by rounding; by more, of the largest, where
#: the model computes something else than its weights say.
ROUNDING = 1e-3
#: From the states of the top layer, for each direction one (H,) a step, to a number.
Loss = Callable[[list[list[Tensor]]], Tensor]


@dataclass(frozen=True)
class Chain:
    """One direction of one layer, run over L steps.

    Attributes:
        weights: of it.
        inputs: x_t, (L, F); above the lowest layer the states of the layer below.
        states: h_t, (L, H).
        first: the state before the first step it reads, (H,).
        gradient: |∂L/∂h_t|, from step `since` on.
        since: the first step that was gone back to.
    """

    weights: Weights
    inputs: Tensor
    states: Tensor
    first: Tensor
    gradient: Tensor
    since: int = 0

    @property
    def before(self) -> Tensor:
        """The state each step began with, (L, H)."""
        if self.weights.reverse:
            return torch.cat([self.states[1:], self.first[None]])
        return torch.cat([self.first[None], self.states[:-1]])


def run(
    stack: Stack, x: Tensor, h_0: Tensor, top: Tensor, loss: Loss, start: int = 0
) -> list[Chain]:
    """Read a sequence and go back through it.

    Args:
        stack: the network.
        x: (L, F), float32, L at least 1.
        h_0: a state for each part of the stack, (D·layers, H).
        top: the top layer's states as the network computed them, (L, D·H).
        loss: L, of the top layer's states, which must hang on steps from `start` on.
        start: the step to go back to, where that can be; where one direction reads from the end,
            it is all of them. Default: 0.

    Returns:
        A chain for each part of the stack, in its order.

    Raises:
        ValueError: `top` is not what follows from the weights, as where a hook changes it.
    """
    D = stack.directions
    since = start if D == 1 else 0
    inputs, states = [x], []  # of each layer, in one go
    for k in range(0, len(stack.parts), D):
        last = k + D == len(stack.parts)
        parts = stack.parts[k : k + D]
        states.append(top if last else stack.layer(parts)(inputs[-1], h_0[k : k + D])[0])
        inputs.append(states[-1])
    before = torch.cat([of[since - 1].view(D, -1) for of in states]) if since else h_0
    gradients = _gone_back(stack, x[since:], before, top[since:], loss)
    chains = []
    for k, part in enumerate(stack.parts):
        own = states[k // D].chunk(D, 1)[k % D]
        chains.append(Chain(part, inputs[k // D], own, h_0[k], gradients[k], since))
    return chains


def _gone_back(stack: Stack, x: Tensor, h_0: Tensor, top: Tensor, loss: Loss) -> list[Tensor]:
    """|∂L/∂h_t| of each chain."""
    below = list(x.clone().requires_grad_(True).unbind())  # the graph hangs on x alone
    stepped: list[list[Tensor]] = []
    D = stack.directions
    for k in range(0, len(stack.parts), D):
        pairs = zip(stack.parts[k : k + D], h_0[k : k + D], strict=True)
        stepped += [_states(stack, part, below, first) for part, first in pairs]
        below = [torch.cat(at_step) for at_step in zip(*stepped[-D:], strict=True)]  # L of (D·H,)
    _check(torch.stack(below).detach(), top)
    return _gradients(loss(stepped[-D:]), stepped)


def _check(stepped: Tensor, top: Tensor) -> None:
    difference = float((stepped - top).abs().max())
    if not difference <= ROUNDING * max(1.0, float(top.abs().max())):
        raise ValueError(
            f"the states that follow from the model's weights differ by {difference:.3g} from "
            "those it computes, or are not finite; remove hooks that change them, or train anew"
        )


def _states(stack: Stack, part: Weights, x: list[Tensor], h: Tensor) -> list[Tensor]:
    cell, found = stack.step(part), {}
    order = range(len(x))
    for t in reversed(order) if part.reverse else order:
        _, h_n = cell(x[t][None], h[None])  # unbatched, one step
        h = found[t] = h_n[0]
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


def half_square(states: list[list[Tensor]]) -> Tensor:
    """½‖h_T‖², for a network of which no more is known than its states: each direction's last."""
    last = [of[0] if k else of[-1] for k, of in enumerate(states)]
    return torch.cat(last).square().sum() / 2
