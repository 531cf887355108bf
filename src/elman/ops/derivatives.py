"""The derivative rules of the two scans, once, for every backend.

Each derivative of either op is a `linear_scan` and matrix products over all steps at once;
README.md beside this file derives them. The rules call differentiable pieces only, so a
derivative of a derivative is the same rule applied again.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.autograd import Function, forward_ad

from elman.ops.activations import slope
from elman.ops.batching import batched
from elman.ops.layout import (
    begun,
    following,
    outer,
    outer_with_previous,
    previous,
    product,
    scaled,
)
from elman.ops.select import backend_module


def total(terms: list[Tensor | None]) -> Tensor | None:
    """The sum of the terms that are there."""
    present = [term for term in terms if term is not None]
    return sum(present[1:], present[0]) if present else None


def times(x: Tensor | None, y: Tensor | None) -> Tensor | None:
    """The product x ⊙ y, or nothing where either is absent."""
    return None if x is None or y is None else x * y


def onward(rule: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A jvp that forward mode can differentiate again.

    torch turns forward mode off within a jvp, and so the tangents of every transform around
    this one would be lost without a word. It is on here; `primals` leaves out this one's own.
    """

    @functools.wraps(rule)
    def on(ctx: Any, *tangents: Tensor | None) -> Tensor:
        with forward_ad._set_fwd_grad_enabled(True):
            return rule(ctx, *tangents)

    return on


def primals(tensors: tuple[Tensor | None, ...]) -> list[Any]:
    """What a jvp saved, without the tangents that it is given apart."""
    # level 0 is the only one; in a graph that is being compiled torch has forgotten which it was
    return [None if t is None else forward_ad.unpack_dual(t, level=0).primal for t in tensors]


class Scan(Function):
    """h_t = f(a_t + h_{t-1} Wᵀ)."""

    @staticmethod
    def forward(
        a: Tensor,
        weight_hh: Tensor,
        h_0: Tensor,
        nonlinearity: str,
        batch_sizes: Tensor | None,
        reverse: bool,
        backend: str,
    ) -> Tensor:
        kernel = backend_module(backend).scan
        return kernel(a, weight_hh, h_0, nonlinearity, batch_sizes, reverse)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, weight_hh, h_0, ctx.nonlinearity, *ctx.time, ctx.backend = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weight_hh, h_0, output)
        ctx.save_for_forward(weight_hh, h_0, output)

    @staticmethod
    def backward(ctx: Any, h_bar: Tensor | None) -> tuple:
        if h_bar is None:
            return (None,) * 7
        weight_hh, h_0, h = ctx.saved_tensors
        batch_sizes, reverse = ctx.time
        d = slope(h, ctx.nonlinearity)
        # δ_t = d_t ⊙ (h̄_t + δ_{t+1} W): what reaches the inside of f at step t
        delta = LinearScan.apply(
            scaled(d, h_bar), weight_hh, h_0.new_zeros(h_0.shape), d, None, None,
            batch_sizes, not reverse, ctx.backend,
        )  # fmt: skip
        weight_bar = h_0_bar = None
        if ctx.needs_input_grad[1]:
            weight_bar = outer_with_previous(delta, h, h_0, weight_hh, *ctx.time)
        if ctx.needs_input_grad[2]:
            h_0_bar = product(begun(delta, batch_sizes, reverse, len(h_0)), weight_hh)
        return delta, weight_bar, h_0_bar, None, None, None, None

    @staticmethod
    @onward
    def jvp(
        ctx: Any, a_dot: Tensor | None, weight_dot: Tensor | None, h_0_dot: Tensor | None, *_: None
    ) -> Tensor:
        weight_hh, h_0, h = primals(ctx.saved_tensors)
        d = slope(h, ctx.nonlinearity)
        through = None
        if weight_dot is not None:
            through = product(previous(h, h_0, *ctx.time), weight_dot.mT)
        x = total([a_dot, through])
        return LinearScan.apply(
            h.new_zeros(h.shape) if x is None else scaled(d, x),
            weight_hh.mT,
            h_0.new_zeros(h_0.shape) if h_0_dot is None else h_0_dot,
            d, None, None, *ctx.time, ctx.backend,
        )  # fmt: skip

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *args: Any) -> tuple[Tensor, int]:
        return batched(Scan.apply, info.batch_size, in_dims, (0,), args)


class GatedScan(Function):
    """h_t = e_t ⊙ h_{t-1} + g_t ⊙ y_t with y_t = f(a_t + (q_t ⊙ h_{t-1}) Wᵀ): h, and y.

    Where neither g nor e is there, y is h, and an empty tensor is in its place.
    """

    @staticmethod
    def forward(
        a: Tensor,
        weight_hh: Tensor,
        h_0: Tensor,
        g: Tensor | None,
        q: Tensor | None,
        e: Tensor | None,
        nonlinearity: str,
        bound: float | None,
        batch_sizes: Tensor | None,
        reverse: bool,
        backend: str,
    ) -> tuple[Tensor, Tensor]:
        kernel = backend_module(backend).gated_scan
        return kernel(a, weight_hh, h_0, nonlinearity, g, q, e, bound, batch_sizes, reverse)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        _, weight_hh, h_0, g, q, e, *ctx.f, batch_sizes, reverse, ctx.backend = inputs
        ctx.time = batch_sizes, reverse
        ctx.set_materialize_grads(False)
        h, y = output
        if g is None and e is None:
            ctx.mark_non_differentiable(y)
            y = h
        ctx.save_for_backward(weight_hh, h_0, g, q, e, h, y)
        ctx.save_for_forward(weight_hh, h_0, g, q, e, h, y)

    @staticmethod
    def backward(ctx: Any, h_bar: Tensor | None, y_bar: Tensor | None) -> tuple:
        if h_bar is None and y_bar is None:
            return (None,) * 11
        weight_hh, h_0, g, q, e, h, y = ctx.saved_tensors
        batch_sizes, reverse = ctx.time
        d = slope(y, *ctx.f)

        def after(c: Tensor | None) -> Tensor | None:
            return None if c is None else following(c, batch_sizes, reverse)

        def first(c: Tensor) -> Tensor:
            return begun(c, batch_sizes, reverse, len(h_0))

        # λ_t: what reaches h_t in all. What comes to y from outside goes on through the product.
        inner = None if y_bar is None else scaled(d, y_bar)
        onward = None if inner is None else after(scaled(q, product(inner, weight_hh)))
        given = total([h_bar, onward])
        assert given is not None
        lambda_ = LinearScan.apply(
            given, weight_hh, h_0.new_zeros(h_0.shape), after(q), after(both(d, g)), after(e),
            batch_sizes, not reverse, ctx.backend,
        )  # fmt: skip
        delta = scaled(d, scaled(g, lambda_))
        if inner is not None:
            delta = delta + inner
        _, wants_weight, wants_h_0, wants_g, wants_q, wants_e, *_ = ctx.needs_input_grad
        weight_bar = h_0_bar = g_bar = q_bar = e_bar = None
        if wants_weight or wants_q or wants_e:
            before = previous(h, h_0, batch_sizes, reverse)
        if wants_weight:
            weight_bar = outer(delta, scaled(q, before), weight_hh)
        if wants_g:
            g_bar = lambda_ * y
        if wants_q:
            q_bar = before * product(delta, weight_hh)
        if wants_e:
            e_bar = lambda_ * before
        if wants_h_0:
            through = product(first(delta), weight_hh)
            through = through if q is None else first(q) * through
            h_0_bar = through if e is None else through + first(e) * first(lambda_)
        return delta, weight_bar, h_0_bar, g_bar, q_bar, e_bar, *(None,) * 5

    @staticmethod
    @onward
    def jvp(
        ctx: Any,
        a_dot: Tensor | None,
        weight_dot: Tensor | None,
        h_0_dot: Tensor | None,
        g_dot: Tensor | None,
        q_dot: Tensor | None,
        e_dot: Tensor | None,
        *_: None,
    ) -> Any:
        weight_hh, h_0, g, q, e, h, y = primals(ctx.saved_tensors)
        d, M = slope(y, *ctx.f), weight_hh.mT
        before = previous(h, h_0, *ctx.time)
        terms = [a_dot]
        if q_dot is not None:
            terms.append(product(q_dot * before, M))
        if weight_dot is not None:
            terms.append(product(scaled(q, before), weight_dot.mT))
        inside = total(terms)  # of f, without the states' own tangents
        if inside is None:
            inside = h.new_zeros(h.shape)
        outside = [scaled(both(d, g), inside), times(g_dot, y), times(e_dot, before)]
        start = h_0.new_zeros(h_0.shape) if h_0_dot is None else h_0_dot
        h_dot = LinearScan.apply(total(outside), M, start, both(d, g), q, e, *ctx.time, ctx.backend)
        if g is None and e is None:
            return h_dot, None
        through = product(scaled(q, previous(h_dot, start, *ctx.time)), M)
        return h_dot, scaled(d, inside + through)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
        return batched(GatedScan.apply, info.batch_size, in_dims, (0, 3, 4, 5), args)


def both(x: Tensor | None, y: Tensor | None) -> Tensor | None:
    """The product x ⊙ y, where an absent factor is one."""
    return x if y is None else scaled(x, y)


class LinearScan(Function):
    """s_t = x_t + e_t ⊙ s_{t-1} + p_t ⊙ ((q_t ⊙ s_{t-1}) M), closed under differentiation."""

    @staticmethod
    def forward(
        x: Tensor,
        weight: Tensor,
        s_0: Tensor,
        p: Tensor | None,
        q: Tensor | None,
        e: Tensor | None,
        batch_sizes: Tensor | None,
        reverse: bool,
        backend: str,
    ) -> Tensor:
        kernel = backend_module(backend).linear_scan
        return kernel(x, weight, s_0, p, q, e, batch_sizes, reverse)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, weight, s_0, p, q, e, *ctx.time, ctx.backend = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weight, s_0, p, q, e, output)
        ctx.save_for_forward(weight, s_0, p, q, e, output)

    @staticmethod
    def backward(ctx: Any, s_bar: Tensor | None) -> tuple:
        if s_bar is None:
            return (None,) * 9
        weight, s_0, p, q, e, s = ctx.saved_tensors
        batch_sizes, reverse = ctx.time

        def after(c: Tensor | None) -> Tensor | None:
            return None if c is None else following(c, batch_sizes, reverse)

        # the adjoint: the other way in time, p and q swapped, M transposed
        sigma = LinearScan.apply(
            s_bar, weight.mT, s_0.new_zeros(s_0.shape), after(q), after(p), after(e),
            batch_sizes, not reverse, ctx.backend,
        )  # fmt: skip
        _, wants_weight, wants_s_0, wants_p, wants_q, wants_e, *_ = ctx.needs_input_grad
        weight_bar = s_0_bar = p_bar = q_bar = e_bar = None
        if wants_weight or wants_p or wants_q or wants_e:
            before = previous(s, s_0, batch_sizes, reverse)
        if wants_weight:
            weight_bar = outer(scaled(q, before), scaled(p, sigma), weight)
        if wants_p:
            p_bar = sigma * product(scaled(q, before), weight)
        if wants_q:
            q_bar = before * product(scaled(p, sigma), weight.mT)
        if wants_e:
            e_bar = sigma * before
        if wants_s_0:

            def first(c: Tensor | None) -> Tensor | None:
                return None if c is None else begun(c, batch_sizes, reverse, len(s_0))

            sigma_1 = begun(sigma, batch_sizes, reverse, len(s_0))
            through = scaled(first(q), product(scaled(first(p), sigma_1), weight.mT))
            s_0_bar = total([through, times(first(e), sigma_1)])
        return sigma, weight_bar, s_0_bar, p_bar, q_bar, e_bar, None, None, None

    @staticmethod
    @onward
    def jvp(
        ctx: Any,
        x_dot: Tensor | None,
        weight_dot: Tensor | None,
        s_0_dot: Tensor | None,
        p_dot: Tensor | None,
        q_dot: Tensor | None,
        e_dot: Tensor | None,
        *_: None,
    ) -> Tensor:
        weight, s_0, p, q, e, s = primals(ctx.saved_tensors)
        x = x_dot
        if any(c is not None for c in (weight_dot, p_dot, q_dot, e_dot)):
            before = previous(s, s_0, *ctx.time)
            inside = scaled(q, before)
            terms = [x_dot, times(e_dot, before)]
            if p_dot is not None:
                terms.append(p_dot * product(inside, weight))
            if q_dot is not None:
                terms.append(scaled(p, product(q_dot * before, weight)))
            if weight_dot is not None:
                terms.append(scaled(p, product(inside, weight_dot)))
            x = total(terms)
        return LinearScan.apply(
            s.new_zeros(s.shape) if x is None else x,
            weight,
            s_0.new_zeros(s_0.shape) if s_0_dot is None else s_0_dot,
            p, q, e, *ctx.time, ctx.backend,
        )  # fmt: skip

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *args: Any) -> tuple[Tensor, int]:
        return batched(LinearScan.apply, info.batch_size, in_dims, (0, 3, 4, 5), args)


# torch binds the arguments to forward's signature at every call and would inspect it anew
for _op in (Scan, GatedScan, LinearScan):
    _op.forward.__signature__ = inspect.signature(_op.forward)  # type: ignore[union-attr]
