"""What can be read off the states and gradients of one layer and direction.

Each function takes a `Pass` whose tensors are (L, N, H), in the order in which the direction reads.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.view.diagnosis.probe import Pass

FLAT = 1 - 0.99**2  # of the largest slope: what a tanh has at 0.99; below it a state is saturated
STILL = 0.01  # a unit that moves less than this, over all it read, is dead
MOSTLY = 0.95  # of its steps: a unit saturated in so many is stuck


def gradients(of: Pass) -> Tensor:
    """∂L/∂h_t for every t, (L, N, H): all that a change of h_t would do, later states included.

        λ_t = ḡ_t + λ_{t+1} J_{t+1}

    with ḡ_t the gradient from outside the recurrence (by autograd).
    """
    assert of.arriving is not None
    found = torch.empty_like(of.arriving)
    through = torch.zeros_like(of.h[0])  # what comes from later states
    for t in reversed(range(len(found))):
        found[t] = of.arriving[t] + through
        through = of.jacobians.at(t).back(found[t][:, None])[:, 0]
    return found


def gradient_flow(of: Pass) -> Tensor:
    """The norm of ∂L/∂h_t by steps before the end of each row, mean over the rows, (L,)."""
    norms = gradients(of).norm(dim=-1)  # (L, N)
    sums = torch.zeros(len(norms), dtype=torch.float64, device="cpu")
    counts = torch.zeros_like(sums)
    for row, length in enumerate(of.lengths.tolist()):
        sums[:length] += norms[:length, row].flip(0)
        counts[:length] += 1
    return (sums / counts.clamp(min=1))[: int(of.lengths.max())]


def gradient_factor(of: Pass) -> float | None:
    """By what the gradient is multiplied, going one step back: the median of the rows.

    Of each row (|∂L/∂h_1| / |∂L/∂h_T|)^(1/(T-1)), T being the last step whose state the loss
    depends on; None where no row has such a T above 1.
    """
    norms, factors = gradients(of).norm(dim=-1), []
    for row, length in enumerate(of.lengths.tolist()):
        felt = norms[:length, row].nonzero()
        if len(felt) and (last := int(felt[-1])) > 0:
            factors.append(float(norms[0, row] / norms[last, row]) ** (1 / last))
    return sorted(factors)[len(factors) // 2] if factors else None


@dataclass(frozen=True)
class Activity:
    """How the units of a layer are used.

    Attributes:
        saturated: the share of all states on the flat part of f, where its slope is below 0.0199
            of the largest it has: |f| > 0.99 of a tanh, f = 0 of a relu, what a clip holds.
        stuck: units that are there in more than 95 of 100 steps.
        dead: units that tell nothing: a relu that is 0 at every step, another whose states differ
            by less than 0.01 over all steps.
    """

    saturated: float
    stuck: list[int]
    dead: list[int]


def activity(of: Pass) -> Activity:
    """Over every step of every row."""
    h, slopes, f = of.h[of.there], of.inside.slopes, of.step.f  # (steps in all, H)
    flat = slopes.own[of.there].abs() < FLAT * f.steepest(slopes)
    dead = h.amax(0) - h.amin(0) < STILL
    if f.name == "relu":
        dead = (of.inside.y[of.there] == 0).all(0)
    stuck = flat.double().mean(0) > MOSTLY
    return Activity(
        float(flat.double().mean()), stuck.nonzero()[:, 0].tolist(), dead.nonzero()[:, 0].tolist()
    )


def eigenvalues(weight: Tensor) -> Tensor:
    """Of W_hh, (H,), complex, the largest first; the first one's size is the spectral radius."""
    found = torch.linalg.eigvals(weight)
    return found[found.abs().argsort(descending=True, stable=True)]


def longest(of: Pass, most: int) -> list[int]:
    """The rows with the most steps, not more than so many, none of them empty."""
    order = of.lengths.argsort(descending=True, stable=True)[:most]
    return [row for row in order.tolist() if of.lengths[row] > 0]


def lyapunov(of: Pass, exponents: int, rows: int, seed: int = 0) -> tuple[list[float], int]:
    """The Lyapunov exponents along the states that were gone through, the largest first.

        Q_t R_t = J_t Q_{t-1},    λ_i = (1/T) Σ_t log |R_t,ii|,    J_t = ∂h_t/∂h_{t-1}

    The first tenth of each row turns Q_0, which is random, into place and is not counted.

    Args:
        of: the layer.
        exponents: how many.
        rows: along so many of the longest rows; the mean of all their steps.
        seed: of Q_0.

    Returns:
        In nats a step, and how many steps were counted. -inf where a direction is lost in one
        step, below the precision of float64.
    """
    chosen = longest(of, rows)
    H = of.weight.shape[0]
    k = min(exponents, H)
    lengths, steps = of.lengths[chosen], of.jacobians.at(slice(None), chosen)
    rng = torch.Generator("cpu").manual_seed(seed)
    start = torch.randn(H, k, generator=rng, dtype=torch.float64, device="cpu")
    Q = torch.linalg.qr(start)[0].expand(len(chosen), H, k)
    begin = torch.div(lengths, 10, rounding_mode="floor")
    sums, counted = torch.zeros(k, dtype=torch.float64, device="cpu"), 0
    for t in range(int(lengths.max())):
        moved = steps.at(t).onto(Q)  # (rows, H, k)
        Q, R = torch.linalg.qr(moved)
        grown = R.diagonal(dim1=1, dim2=2).abs()
        lost = grown <= H * torch.finfo(torch.float64).eps * moved.norm(dim=1)
        counts = (t >= begin) & (t < lengths)
        sums += grown.masked_fill(lost, 0.0).log()[counts].sum(0)
        counted += int(counts.sum())
    return (sums / counted).sort(descending=True).values.tolist(), counted


@dataclass(frozen=True)
class Horizon:
    """How long a state is felt.

    Attributes:
        steps: the median, over starting points, of the first k at which ‖∂h_{t+k}/∂h_t‖ < 1 %.
        exceeds: whether that is a lower bound: the rows, or the steps to look ahead, ended first.
        curve: the norm by k from 0, the median of the starting points that go so far.
    """

    steps: int
    exceeds: bool
    curve: list[float]


def horizon(of: Pass, rows: int, ahead: int, under: float = 0.01, starts: int = 3) -> Horizon:
    """The memory horizon, by the spectral norm of the product of the real Jacobians.

    Args:
        of: the layer.
        rows: of so many of the longest rows.
        ahead: the most steps to look ahead.
        under: what counts as forgotten.
        starts: how many t in the first half of each row.
    """
    pairs = []
    for row in longest(of, rows):
        half = int(of.lengths[row]) // 2
        pairs += [(row, t) for t in sorted({round(half * s / starts) for s in range(starts)})]
    row, t = torch.tensor(pairs, device="cpu").T
    left = of.lengths[row] - 1 - t  # steps there are after t
    product = torch.eye(of.weight.shape[0], dtype=torch.float64, device="cpu").expand(
        len(row), -1, -1
    )
    norms = [torch.ones(len(row), dtype=torch.float64, device="cpu")]
    fell = torch.full_like(left, -1)
    for k in range(1, min(ahead, int(left.max())) + 1):
        going = k <= left
        product = of.jacobians.at((t + k).clamp(max=len(of.h) - 1), row).onto(product)
        norm = torch.linalg.matrix_norm(product, ord=2).masked_fill(~going, math.nan)
        norms.append(norm)
        fell[(fell < 0) & (norm < under)] = k
        if not ((fell < 0) & going).any():
            break
    known = fell > 0
    at_least = torch.where(known, fell, left.clamp(max=ahead))
    order = at_least.argsort(stable=True)
    middle = order[(len(order) - 1) // 2]
    steps = int(at_least[middle])
    # a longer one may hide among those that ended before the middle
    exceeds = not bool(known[order[: (len(order) - 1) // 2 + 1]].all())
    curve = [float(values.nanmedian()) for values in norms]
    return Horizon(steps, exceeds, [value for value in curve if not math.isnan(value)])
