"""A step of a direction: from its sum to its new state, and what becomes of a nudge on the way.

    z_t = W_ih x_t + b + W_hh (q_t ⊙ h_{t-1})        n_t = γ ⊙ ẑ_t + β,  or z_t without a norm
    y_t = f(n_t held within ±bound)                  h_t = e_t ⊙ h_{t-1} + g_t ⊙ y_t

    J_t = ∂h_t/∂h_{t-1} = diag(e_t) + diag(g_t ⊙ f'_t ⊙ γ) N_t W_hh diag(q_t)

    N_t v = s_t (v - mean(v) - ẑ_t mean(ẑ_t ⊙ v)),   ẑ_t = s_t (z_t - mean(z_t))

without a norm γ and N_t are not there; in a plain layer g and q are one and e is zero. In eval mode
g is the leak times 1 - zoneout, e is 1 - g. ops/README.md derives all of it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elman.ops.norm import Norm, evened
from elman.view.functions import Function, Slopes


class Inside(NamedTuple):
    """What a step went through, for steps of any number: (..., H).

    Attributes:
        z: the sums.
        mean, scale: of z over the units, and 1 / √(variance + eps), (..., 1); None without a norm.
        even: ẑ; None without a norm.
        given: n, what comes to the bound and f.
        y: f of it.
        slopes: f' there.
    """

    z: Tensor
    mean: Tensor | None
    scale: Tensor | None
    even: Tensor | None
    given: Tensor
    y: Tensor
    slopes: Slopes


@dataclass(frozen=True, eq=False)
class Step:
    """What a layer does with its sums.

    Attributes:
        f: the nonlinearity.
        bound: what its argument is held within; None for nothing.
        norm: γ, β and eps; None without.
    """

    f: Function
    bound: float | None = None
    norm: Norm | None = None

    def inside(self, z: Tensor) -> Inside:
        """From the sums on.

        >>> from elman.ops import Norm
        >>> step = Step(Function("identity"), None, Norm(torch.ones(2), torch.zeros(2)))
        >>> step.inside(torch.tensor([1.0, 3.0], dtype=torch.float64)).y.round(decimals=4).tolist()
        [-1.0, 1.0]
        """
        mean = scale = even = None
        given = z
        if self.norm is not None:
            mean = z.mean(-1, keepdim=True)
            variance = z.var(-1, correction=0, keepdim=True)
            scale = (variance + self.norm.eps).rsqrt()
            even = scale * (z - mean)
            given = self.norm.weight.to(z) * even + self.norm.bias.to(z)
        y, slopes = self.f.values(given, self.bound), self.f.slopes(given, self.bound)
        return Inside(z, mean, scale, even, given, y, slopes)

    def jacobians(
        self,
        weight: Tensor,
        inside: Inside,
        g: Tensor | None = None,
        q: Tensor | None = None,
        e: Tensor | None = None,
    ) -> "Jacobians":
        """J_t of all steps, from W_hh, (H, H), and the gates, (..., H) or what goes with that."""

        def spread(c: Tensor | None) -> Tensor | None:
            return None if c is None else c.to(inside.z).expand_as(inside.z)

        mixing, outer, inner = inside.slopes.mixing, spread(g), None
        gamma = None if self.norm is None else self.norm.weight.to(inside.z)
        if mixing is None:
            slope = inside.slopes.own if gamma is None else inside.slopes.own * gamma
            outer = slope if outer is None else slope * outer
        else:
            inner = mixing if gamma is None else mixing * gamma
        return Jacobians(weight, outer, inner, spread(e), spread(q), inside.even, inside.scale)


class Jacobians(NamedTuple):
    """J_t for steps of any number, as what they do to vectors; index the steps as a tensor's.

    J = diag(e) + diag(outer) inner N W diag(q), with what is None left out.

    Attributes:
        weight: W, (H, H), of all of them.
        outer, e, q: (..., H).
        inner: (..., H, H).
        even, scale: of N, (..., H) and (..., 1).

    >>> W = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> leaky = Jacobians(W, torch.full((5, 2), 0.25), None, torch.full((5, 2), 0.75))
    >>> leaky.dense()[0]
    tensor([[0.7500, 0.2500],
            [0.2500, 0.7500]])
    """

    weight: Tensor
    outer: Tensor | None
    inner: Tensor | None = None
    e: Tensor | None = None
    q: Tensor | None = None
    even: Tensor | None = None
    scale: Tensor | None = None

    @property
    def steps(self) -> int:
        """How many steps."""
        return len(next(c for c in (self.outer, self.inner) if c is not None))

    def at(self, *place: Any) -> "Jacobians":
        """Those of some steps: `at(t)`, `at(slice(3, None))`, `at(t, rows)`."""
        return Jacobians(self.weight, *(None if c is None else c[place] for c in self[1:]))

    def flip(self) -> "Jacobians":
        """From the last step to the first."""
        return Jacobians(self.weight, *(None if c is None else c.flip(0) for c in self[1:]))

    def onto(self, V: Tensor) -> Tensor:
        """J V, for columns (..., H, k)."""
        rows = V.mT if self.q is None else V.mT * self.q[..., None, :]
        u = (rows.reshape(-1, rows.shape[-1]) @ self.weight.mT).view(rows.shape)  # in one product
        if self.even is not None and self.scale is not None:
            u = evened(u, self.even[..., None, :], self.scale[..., None, :])
        u = u.mT
        u = u if self.inner is None else self.inner @ u
        u = u if self.outer is None else self.outer[..., None] * u
        return u if self.e is None else u + self.e[..., None] * V

    def back(self, R: Tensor) -> Tensor:
        """R J, for rows (..., k, H)."""
        u = R if self.outer is None else R * self.outer[..., None, :]
        u = u if self.inner is None else u @ self.inner
        if self.even is not None and self.scale is not None:  # N is its own transpose
            u = evened(u, self.even[..., None, :], self.scale[..., None, :])
        u = u @ self.weight
        u = u if self.q is None else u * self.q[..., None, :]
        return u if self.e is None else u + R * self.e[..., None, :]

    def dense(self) -> Tensor:
        """The matrices, (..., H, H)."""
        return self.onto(torch.eye(len(self.weight), dtype=self.weight.dtype))
