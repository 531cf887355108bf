"""The gradients of a layer between gates, as far as they are wanted.

They come from λ_t, what reaches h_t in all, which the kernels hand out where a gate's own gradient
is wanted: README.md beside this file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from elman.ops import cpu
from elman.ops.activations import slope
from elman.ops.composed import Kind, differentiable, to_be_transformed
from elman.ops.gates import EACH, Gates, from_flat, gathered, numbers, spread
from elman.ops.layout import previous, product, scaled
from elman.ops.norm import Norm, evened

Each = TypeVar("Each")


@dataclass
class Parts(Generic[Each]):
    """What a layer is made of, or one thing about each of them: as operators take the tensors."""

    x: Each
    h_0: Each
    factors: list[Each]
    norms: list[Each]
    weights: list[Each]

    def flat(self) -> list[Each]:
        """All in a row."""
        return [self.x, self.h_0, *self.factors, *self.norms, *self.weights]

    def counts(self) -> tuple[int, int]:
        """How many factors there are, and tensors of norms."""
        return len(self.factors), len(self.norms)

    @staticmethod
    def of(row: Sequence[Each], counts: tuple[int, int]) -> "Parts[Each]":
        """Of all in a row."""
        gates, norms = counts[0] + 2, sum(counts) + 2
        return Parts(row[0], row[1], list(row[2:gates]), list(row[gates:norms]), list(row[norms:]))


def gradients(
    kind: Kind,
    parts: Parts[Tensor],
    states: Sequence[Tensor],
    bars: tuple[Tensor | None, Tensor | None],
    batch_sizes: Tensor | None,
    wants: Parts[bool],
) -> Parts[Tensor | None]:
    """Those of everything the layer was made of, as far as they are wanted.

    Args:
        states: output, y or an empty tensor where that is told from the output, and, with a norm,
            ẑ and its scales, as the operator gave them.
        bars: those of output and h_n.
    """
    row, counts = wants.flat(), parts.counts()
    if bars[0] is None and bars[1] is None:
        return Parts.of([None] * len(row), counts)
    if to_be_transformed(*bars):

        def take(others: list[Tensor]) -> tuple[list[Gates], list[Norm]]:
            own = Parts.of([others[0], others[0], *others], counts)
            others[:] = own.weights
            weight_bias = zip(own.norms[::2], own.norms[1::2], strict=True)
            return from_flat(own.factors), [Norm(w, b, kind.eps or 0.0) for w, b in weight_bias]

        return Parts.of(differentiable(kind, parts.flat(), take, batch_sizes, bars, row), counts)
    of_units = _of_units(parts.factors, wants.factors)
    of_states = any(wants.factors) and not of_units
    wanted = wants.x, wants.h_0, any(wants.weights), of_states, of_units
    x_bar, h_0_bar, weight_bars, lambda_, g_bar, norm_bars = _by_kernels(
        kind, parts, states, bars, batch_sizes, (*wanted, any(wants.norms))
    )
    factor_bars: list[Tensor | None] = [None] * counts[0]
    for d, between in enumerate(from_flat(parts.factors)):
        if of_units:
            if between.g is not None:
                of_g = g_bar[d].sum_to_size(between.g.shape[2])
                factor_bars[EACH * d] = of_g.view_as(between.g)
        elif of_states:
            own = slice(EACH * d, EACH * (d + 1))
            one = _Direction(kind, parts, states, lambda_, batch_sizes, d)
            factor_bars[own] = one.bars(wants.factors[own])
    return Parts(
        x_bar if wants.x else None,
        h_0_bar if wants.h_0 else None,
        factor_bars,
        norm_bars if any(wants.norms) else [None] * counts[1],
        [*weight_bars] if any(wants.weights) else [None] * len(weight_bars),
    )


def _by_kernels(
    kind: Kind,
    parts: Parts[Tensor],
    states: Sequence[Tensor],
    bars: tuple[Tensor | None, Tensor | None],
    batch_sizes: Tensor | None,
    wanted: tuple[bool, ...],
) -> tuple[Tensor, Tensor, list[Tensor], Tensor, Tensor, list[Tensor | None]]:
    """Those of x, h_0 and the weights, λ, those of a g of each unit, and those of the norms."""
    x, h_0, weights, factors = parts.x, parts.h_0, parts.weights, parts.factors
    f = str(kind.nonlinearity)
    if kind.eps is None:
        x_bar, h_0_bar, *weight_bars, lambda_, g_bar = cpu.gated_layer_backward(
            *bars, x, h_0, states[0], states[1], weights, kind.bias, f, kind.bound, factors,
            batch_sizes, wanted[:-1],
        )  # fmt: skip
        return x_bar, h_0_bar, weight_bars, lambda_, g_bar, []
    x_bar, h_0_bar, *weight_bars, lambda_, g_bar, of_weight, of_bias = cpu.normed_layer_backward(
        bars, x, h_0, states, weights, kind.bias, f, kind.bound, factors, parts.norms, kind.eps,
        batch_sizes, wanted,
    )  # fmt: skip
    of_norms = [bar for pair in zip(of_weight, of_bias, strict=True) for bar in pair]
    return x_bar, h_0_bar, weight_bars, lambda_, g_bar, [*of_norms]


def _of_units(factors: list[Tensor], wants: Sequence[bool]) -> bool:
    """Whether all that is wanted are g's the same at all steps and rows, each with no e beside it.

    As a leak is that is learned: the kernel adds it up on the way.
    """
    return any(wants) and all(
        not wants_c
        or (k % EACH == 0 and c.dim() == 3 and c.shape[:2] == (1, 1) and factors[k + 2].dim() == 1)
        for k, (c, wants_c) in enumerate(zip(factors, wants, strict=True))
    )


class _Direction:
    """One direction's gates and states, for the gradients of the gates."""

    def __init__(
        self,
        kind: Kind,
        parts: Parts[Tensor],
        states: Sequence[Tensor],
        lambda_: Tensor,
        batch_sizes: Tensor | None,
        d: int,
    ) -> None:
        H = parts.h_0.shape[2]
        self.kind, self.batch_sizes = kind, batch_sizes
        self.gates = from_flat(parts.factors)[d]
        self.weight_hh = parts.weights[(4 if kind.bias else 2) * d + 1]
        self.lambda_, h = (t.narrow(-1, d * H, H) for t in (lambda_, states[0]))
        self.y = states[1].narrow(-1, d * H, H) if states[1].dim() > 1 else h
        self.before = previous(h, parts.h_0[d], batch_sizes, d == 1)
        self.norm = None
        if kind.eps is not None:
            even, scale = states[2].narrow(-1, d * H, H), states[3].narrow(-1, d, 1)
            self.norm = parts.norms[2 * d], even, scale

    def bars(self, wants: Sequence[bool]) -> list[Tensor | None]:
        """ḡ, q̄, ē and r̄, as far as they are wanted."""
        g, q, e, r = map(self._wide, self.gates)
        if e is None and g is not None:
            e = 1 - g
        wants_g, wants_q, wants_e, wants_r = wants
        kept = scaled(r, self.before)
        found: list[Tensor | None] = [None] * EACH
        if wants_g:  # where e is not there it is 1 - g
            found[0] = self.lambda_ * (self.y if self.gates.e is not None else self.y - kept)
        if wants_q or wants_r:
            inside = product(self._delta(g), self.weight_hh)
            found[1] = kept * inside
            inside = scaled(q, inside)
            found[3] = self.before * (inside if e is None else inside + e * self.lambda_)
        if wants_e:
            found[2] = self.lambda_ * kept
        return [
            gathered(bar, c, self.batch_sizes)
            if c is not None and bar is not None and wants_c
            else None
            for bar, c, wants_c in zip(found, self.gates, wants, strict=True)
        ]

    def _delta(self, g: Tensor | None) -> Tensor:
        """What reaches the sum within f."""
        d = slope(self.y, str(self.kind.nonlinearity), self.kind.bound)
        delta = scaled(d, scaled(g, self.lambda_))
        if self.norm is None:
            return delta
        weight, even, scale = self.norm
        return evened(weight * delta, even, scale)

    def _wide(self, c: Tensor | None) -> Tensor | None:
        if c is None:
            return None
        return spread(numbers(c, self.lambda_), self.lambda_.shape, self.batch_sizes)
