"""A long sequence in parts: recomputed in the backward pass, or with no states kept at all."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from elman.nn.flags import Flags
from elman.nn.lengths import packing
from elman.nn.stack import Drawn, Tensors, run
from elman.ops.composed import differentiated, to_be_transformed
from elman.ops.doors import autocast

if TYPE_CHECKING:
    from elman.nn.rnn import RNN

#: Steps of a part where only the last states are wanted and no gradient.
SHORT = 256


def run_padded(
    rnn: "RNN",
    tensors: Tensors,
    x: Tensor,
    h_0: list[Tensor],
    lengths: Tensor,
    flags: Flags,
    drawn: list[Drawn],
    every: bool,
) -> tuple[list[Tensor], list[Tensor]]:
    """All layers over rows of unequal length, (L, N, H_in); as `elman.nn.stack.run`."""
    plan = packing(lengths, x.shape[0])
    packed, order = plan.pack(x), plan.order.to(x.device)
    flags = flags.map(lambda t: plan.pack(t).data)
    sorted_masks = [_in_order(masks, order) for masks in drawn]
    outputs, last = run(
        rnn, tensors, packed.data, [h.index_select(1, order) for h in h_0], packed.batch_sizes,
        flags, sorted_masks, every,
    )  # fmt: skip
    padded = [plan.pad(output, x.shape[:2]) for output in outputs]
    return padded, [h.index_select(1, order.argsort()) for h in last]


def _in_order(masks: Drawn, order: Tensor) -> Drawn:
    def select(mask: Tensor | None) -> Tensor | None:
        return None if mask is None else mask.index_select(1, order)

    return Drawn(select(masks.input), [select(m) for m in masks.inside], select(masks.output))


class Sequences(NamedTuple):
    """A call in parts, but for the tensors that gradients go to.

    Attributes:
        rnn: as it was when it was called: a copy of it that shares its tensors.
        lengths: steps of each row, (N,); None where all have L.
        steps: of a part.
        every: whether the outputs of all layers are wanted, not the last one's alone.
        keep: whether any outputs are wanted; else none is kept.
    """

    rnn: "RNN"
    lengths: Tensor | None
    flags: Flags
    drawn: list[Drawn]
    steps: int
    every: bool
    keep: bool

    @property
    def given(self) -> list[Tensor]:
        """What the caller said of single steps and rows."""
        return [t for t in (self.lengths, *self.flags) if t is not None]

    @property
    def draws(self) -> bool:
        """Whether a part draws anything at random."""
        dynamics = self.rnn.dynamics_or_plain
        return self.rnn.training and bool(dynamics.zoneout or dynamics.noise or self.rnn.dropout)

    def part(
        self, x: Tensor, first: int, h: list[Tensor], tensors: Tensors
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Outputs and last states of the steps from `first` on, which are those of x."""
        here = slice(first, first + len(x))
        flags = self.flags.map(lambda t: t[here])
        asked = flags, self.drawn, self.every
        if self.lengths is None:
            return run(self.rnn, tensors, x, h, None, *asked)
        live = (self.lengths - first).clamp(0, len(x))
        return run_padded(self.rnn, tensors, x, h, live, *asked)

    def all_parts(
        self, x: Tensor, h: list[Tensor], tensors: Tensors, before: Callable[[list[Tensor]], None]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """One part after the other, with `before` called on the states before each."""
        layers = range(len(h)) if self.every else range(len(h) - 1, len(h))
        widths = [self.rnn.width_above(k) for k in layers] if self.keep else []
        outputs: list[Tensor] = []
        for first in range(0, max(1, len(x)), self.steps):
            before(h)
            found, h = self.part(x[first : first + self.steps], first, h, tensors)
            if self.keep and not outputs:  # in the dtype that autocast may have chosen
                outputs = [x.new_empty(*x.shape[:2], W, dtype=found[0].dtype) for W in widths]
            for output, part in zip(outputs, found, strict=False):
                output[first : first + self.steps] = part
        return outputs, h


def run_in_parts(
    asked: Sequences, x: Tensor, h_0: list[Tensor], tensors: Tensors
) -> tuple[list[Tensor], list[Tensor]]:
    """All layers over a padded sequence, so many steps at a time; as `elman.nn.stack.run`.

    Of each part only the states before it are kept for the backward pass, which computes the part
    once more: Chen et al., Training Deep Nets with Sublinear Memory Cost (2016, arXiv 1604.06174).
    """
    given = x, *h_0, *tensors.values()
    if not differentiated(given):
        return asked.all_parts(x, h_0, tensors, lambda _: None)
    results = Parts.apply(asked, len(h_0), tuple(tensors), *given)
    return list(results[: -len(h_0)]), list(results[-len(h_0) :])


class Parts(Function):
    """Every part forward; and in the backward pass, from the last to the first, once more."""

    @staticmethod
    def forward(
        ctx: Any, asked: Sequences, layers: int, names: tuple[str, ...], *given: Tensor
    ) -> tuple[Tensor, ...]:
        x, h_0 = given[0], list(given[1 : layers + 1])
        tensors = dict(zip(names, given[layers + 1 :], strict=True))
        count = max(1, -(-len(x) // asked.steps))
        states = [h.new_empty(count, *h.shape) for h in h_0]  # in one piece: memory stays whole
        ctx.draws = []

        def note(h: list[Tensor]) -> None:
            for kept, one in zip(states, h, strict=True):
                kept[len(ctx.draws)] = one
            ctx.draws.append(_generators(x) if asked.draws else None)

        outputs, last = asked.all_parts(x, h_0, tensors, note)
        ctx.asked, ctx.names, ctx.layers = asked, names, layers
        device = x.device.type
        ctx.autocast = torch.get_autocast_dtype(device) if autocast(x) else None
        # what was asked for too, so that torch says so if it has been written in since
        ctx.save_for_backward(*states, *given, *asked.given)
        ctx.set_materialize_grads(False)
        return *outputs, *last

    @staticmethod
    def backward(ctx: Any, *bars: Tensor | None) -> tuple:
        if torch.is_grad_enabled():  # create_graph
            raise RuntimeError(
                "checkpoint_every gives gradients that cannot be differentiated again, got "
                "create_graph=True; leave checkpoint_every out where derivatives of them are wanted"
            )
        if to_be_transformed(*bars):
            raise RuntimeError(
                "checkpoint_every gives one gradient at a time, got many at once, as of "
                "is_grads_batched or vmap; leave checkpoint_every out there"
            )
        layers, asked = ctx.layers, ctx.asked
        saved = ctx.saved_tensors
        states, (x, *given) = saved[:layers], saved[layers : len(saved) - len(asked.given)]
        wants_x, *wants = ctx.needs_input_grad[3:]
        tensors = [t.detach().requires_grad_(w) for t, w in zip(given, wants, strict=True)][layers:]
        named = dict(zip(ctx.names, tensors, strict=True))
        learned = [t for t in tensors if t.requires_grad]
        sums = [torch.zeros_like(t) for t in learned]
        x_bar = torch.zeros_like(x) if wants_x else None
        output_bars, h_bars = bars[:-layers], list(bars[-layers:])
        for k in reversed(range(len(ctx.draws))):
            here = slice(k * asked.steps, (k + 1) * asked.steps)
            x_part = x[here].detach().requires_grad_(wants_x)
            h = [kept[k].detach().requires_grad_() for kept in states]
            with _as_before(ctx.draws[k], x), torch.enable_grad(), _cast_to(ctx.autocast, x):
                found, last = asked.part(x_part, here.start, h, named)
            pairs = [(one, b) for one, b in zip(last, h_bars, strict=True) if b is not None]
            if asked.keep:
                pairs += [
                    (one, b[here])
                    for one, b in zip(found, output_bars, strict=True)
                    if b is not None
                ]
            pairs = [(one, b) for one, b in pairs if one.requires_grad]
            to = [*([x_part] if wants_x else []), *h, *learned]
            bars_now = torch.autograd.grad(
                [one for one, _ in pairs], to, [b for _, b in pairs],
                allow_unused=True, materialize_grads=True,
            )  # fmt: skip
            if x_bar is not None:
                x_bar[here] = bars_now[0]
                bars_now = bars_now[1:]
            h_bars = list(bars_now[:layers])
            for total, more in zip(sums, bars_now[layers:], strict=True):
                total += more
        ready = iter(sums)
        first = [bar if w else None for bar, w in zip(h_bars, wants[:layers], strict=True)]
        return (
            None,
            None,
            None,
            x_bar,
            *first,
            *(next(ready) if w else None for w in wants[layers:]),
        )


def _generators(x: Tensor) -> list[Tensor]:
    """Where torch's generators stand that a part on the device of x draws from."""
    there = [torch.cuda.get_rng_state(x.device)] if x.is_cuda else []
    return [torch.get_rng_state(), *there]


def _cast_to(dtype: torch.dtype | None, x: Tensor) -> AbstractContextManager[Any]:
    """Autocast to that dtype, or none, whatever there is around now."""
    device = x.device.type
    if dtype is None:
        return torch.autocast(device, enabled=False) if autocast(x) else nullcontext()
    return torch.autocast(device, dtype=dtype)


@contextmanager
def _as_before(generators: list[Tensor] | None, x: Tensor) -> Iterator[None]:
    """Draw what was drawn then, and afterwards go on as if nothing had been."""
    if generators is None:
        yield
        return
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        torch.set_rng_state(generators[0])
        if x.is_cuda:
            torch.cuda.set_rng_state(generators[1], x.device)
        yield
