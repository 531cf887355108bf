"""Every layer and direction of a model's RNNs as they read a batch: states and gradients.

Each RNN is run a second time, direction by direction through `elman.ops.layer`, in the place where
the model calls it, and what the model gets is that. To each state a zero is added that asks for its
gradient: that is ∂L/∂h_t as it arrives from outside the recurrence, by torch's own backward pass.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.nn import RNN, Wiring
from elman.nn.dynamics import NOTHING, Call, Dynamics
from elman.nn.extended import first_states
from elman.nn.stack import merged
from elman.ops import Gates, Norm
from elman.ops import layer as run_layer
from elman.view.diagnosis.batch import Batch
from elman.view.functions import Function
from elman.view.steps import Inside, Jacobians, Step

_FORWARD = (RNN.forward, nn.RNN.forward)


@dataclass
class Pass:
    """One layer in one direction, and what happened in it; time runs as the direction reads.

    Attributes:
        name: of the layer, as its parameters have it: "rnn.l0_reverse".
        step: what it does with its sums.
        weight: W_hh, (H, H), float64 on the CPU, as all below.
        z: the sums, (L, N, H).
        h: the states, (L, N, H).
        gates: what is taken of old and new, (L, N, H) each where it is there.
        lengths: steps of each row, (N,); what lies beyond is nothing.
        nudge: the zeros that were added to the states.
        present: which steps are no gaps, (L, N); None where all are there.
        arriving: ∂L/∂h_t from outside the recurrence, (L, N, H); None where no loss was asked.
    """

    name: str
    step: Step
    weight: Tensor
    z: Tensor
    h: Tensor
    gates: Gates
    lengths: Tensor
    nudge: Tensor
    present: Tensor | None = None
    arriving: Tensor | None = None

    @cached_property
    def inside(self) -> Inside:
        """What came of the sums, (L, N, H)."""
        return self.step.inside(self.z)

    @cached_property
    def jacobians(self) -> Jacobians:
        """∂h_t/∂h_{t-1}, of each step and row."""
        return self.step.jacobians(
            self.weight, self.inside, self.gates.g, self.gates.q, self.gates.e
        )

    @property
    def there(self) -> Tensor:
        """Which steps are some row's, (L, N)."""
        within = torch.arange(len(self.h), device="cpu")[:, None] < self.lengths
        return within if self.present is None else within & self.present


def recurrent(model: nn.Module) -> dict[str, nn.Module]:
    """The Elman RNNs inside a model, or the model itself, by their names."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (RNN, nn.RNN)) and type(module).forward in _FORWARD
    }


@contextmanager
def watched(model: nn.Module) -> Iterator[list[Pass]]:
    """While it lasts, what each RNN reads is noted in the list; the model is in eval mode."""
    training = {module: module.training for module in model.modules()}
    passes: list[Pass] = []
    with ExitStack() as stack:
        for name, module in recurrent(model).items():
            hook = _Watch(name, passes)
            stack.enter_context(module.register_forward_hook(hook, with_kwargs=True))
        model.eval()
        try:
            yield passes
        finally:
            for module, mode in training.items():
                module.training = mode


@dataclass
class _Watch:
    """The hook of one RNN."""

    name: str
    passes: list[Pass]
    calls: int = field(default=0)

    def __call__(self, module: Any, args: tuple, kwargs: dict, output: Any) -> Any:
        self.calls += 1
        again = f"#{self.calls}" if self.calls > 1 else ""
        given = dict(zip(("input", "hx"), args, strict=False)) | kwargs
        flags = (given.get(name) for name in ("lengths", "mask", "reset"))
        batch = Batch.of(module, given["input"], *flags)
        prefix = f"{self.name}{again}." if self.name or again else ""
        layers = _Layers(module, batch, prefix, self.passes)
        outputs, last = layers.run(_first(module, given.get("hx"), batch))
        if batch.unbatched:
            last = [h[:, 0] for h in last]
        h_n = tuple(last) if len({h.shape[-1] for h in last}) > 1 else torch.cat(last)
        states = given.get("states", "output")
        if states == "last":
            return None, h_n
        found = tuple(map(batch.as_given, outputs if states == "all" else outputs[-1:]))
        return found if states == "all" else found[0], h_n


def _first(module: Any, hx: Any, batch: Batch) -> list[Tensor]:
    """Where each layer begins, (D, N, H)."""
    N = len(batch.lengths)
    if isinstance(module, RNN):
        return first_states(module, hx, batch.x, N, batch.unbatched)
    D = 2 if module.bidirectional else 1
    if hx is None:
        hx = batch.x.new_zeros(module.num_layers * D, N, module.hidden_size)
    return list((hx[:, None] if batch.unbatched and hx.dim() == 2 else hx).split(D))


@dataclass
class _Layers:
    """The layers of one RNN over a batch."""

    module: Any
    batch: Batch
    prefix: str
    passes: list[Pass]

    def __post_init__(self) -> None:
        own = isinstance(self.module, RNN)
        self.dynamics: Dynamics = self.module.dynamics_or_plain if own else NOTHING
        self.wiring: Wiring = self.module.wiring_or_plain if own else Wiring()
        self.D = 2 if self.module.bidirectional else 1

    def run(self, h_0: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The output of each layer, (L, N, W), and its last states, (D, N, H)."""
        batch, x, outputs, last = self.batch, self.batch.x, [], []
        for k, first in enumerate(h_0):
            sides, ends = [], []
            for d in range(self.D):
                backward = d == 1 or self.wiring.reverse
                h = self._direction(k, d, batch.turned(x) if backward else x, first[d], backward)
                ends.append(_last(h, first[d], batch.lengths))
                sides.append(batch.turned(h) if backward else h)
            above = merged(torch.cat(sides, -1), self.D, self.wiring.merge)
            x = x + above if self.wiring.residual and x.shape == above.shape else above
            x = x.masked_fill(batch.beyond, 0.0)
            outputs.append(x)
            last.append(torch.stack(ends))
        return outputs, last

    def _direction(self, k: int, d: int, x: Tensor, h_0: Tensor, backward: bool) -> Tensor:
        """The states of one direction, (L, N, H), in the order in which it reads."""
        module, flags = self.module, self.batch.flags
        suffix = f"_l{k}" + ("_reverse" if d else "")
        names = [*module._all_weights[k * self.D + d], *self.dynamics.names(suffix)]
        tensors = {name: getattr(module, name) for name in names}
        left = flags.left_reverse if backward else flags.left
        present = flags.present
        if backward:
            present, left = (None if c is None else self.batch.turned(c) for c in (present, left))
        call = Call(h_0.shape[-1], present, left, None)
        gates = self.dynamics.gates(tensors, suffix, x, call, training=False)
        W_ih, W_hh, *biases = (tensors[name] for name in module._all_weights[k * self.D + d])
        biases += [torch.zeros_like(b) for b in biases] if len(biases) == 1 else []
        norm = None
        if self.dynamics.layer_norm:
            norm = Norm(tensors[f"norm_weight{suffix}"], tensors[f"norm_bias{suffix}"])
        h, _ = run_layer(
            x, h_0[None], [[W_ih, W_hh, *biases]], module.nonlinearity, None,
            [gates] if any(c is not None for c in gates) else (), self.dynamics.clip,
            [] if norm is None else [norm],
        )  # fmt: skip
        nudge = torch.zeros_like(h, requires_grad=True)
        a = functional.linear(x, W_ih, sum(biases) if biases else None)
        step = Step(
            Function(module.nonlinearity, h.dtype, h.device),
            self.dynamics.clip,
            None if norm is None else Norm(_wide(norm.weight), _wide(norm.bias), norm.eps),
        )
        spread = Gates(*(None if c is None else _wide(c) for c in gates.spread(h, None)))
        W, states = _wide(W_hh), _wide(h)
        before = torch.cat([_wide(h_0)[None], states])[: len(states)]  # (L, N, H), h_{t-1}
        seen = before if spread.q is None else spread.q * before
        there = None if present is None else present[..., 0].cpu() > 0
        self.passes.append(
            Pass(
                f"{self.prefix}{suffix[1:]}", step, W, _wide(a) + seen @ W.mT, states, spread,
                self.batch.lengths, nudge, there,
            )
        )  # fmt: skip
        return h + nudge


def _last(h: Tensor, h_0: Tensor, lengths: Tensor) -> Tensor:
    """The state after each row's last step, (N, H); the first one of a row without steps."""
    if not len(h):
        return h_0
    place = (lengths - 1).clamp(min=0).to(h.device)[None, :, None].expand(1, *h.shape[1:])
    empty = (lengths == 0).to(h.device)[:, None]
    return torch.where(empty, h_0, h.gather(0, place)[0])


def _wide(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float64)
