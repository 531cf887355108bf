"""How far back a network's memory reaches, from the Jacobians of its states.

    J_t = ∂h_t/∂h_{t-1}        ∂h_T/∂h_t = J_T … J_{t+1}

`elman.view.steps` has J_t; of a plain layer it is diag(f'_t) W_hh.

Source: Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks, ICML
2013, arXiv 1211.5063.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from elman.view.chains import Chain
from elman.view.steps import Jacobians

#: Up to so many units every direction is measured and all eigenvalues are found; beyond, a sample.
EXACT, DIRECTIONS = 512, 64
SMALL, KRYLOV = 128, 32
STEPS = 100  # whose Jacobians are measured at once, for the memory that takes
#: A nudge of the first state that arrives below, or of any above, makes the verdict.
FADED, GROWN = 1e-2, 1e2


@dataclass(frozen=True)
class Memory:
    """What becomes of a nudge of the state, for L steps: those that were gone back through.

    Attributes:
        gain: for each step t, how many times as large a small random nudge of h_t arrives at the
            last state h_T that the chain reads: ‖∂h_T/∂h_t‖_F / √H, (L,).
        jacobian: ‖J_t‖₂, the largest factor by which step t stretches any nudge, (L,).
        radius: the spectral radius of W_hh.
        verdict: "vanishing", "exploding" or "healthy".
        lasts: how many steps before the last a nudge falls below a hundredth; None if never.
        exact: whether all directions were measured, not a sample of them.
    """

    gain: Tensor
    jacobian: Tensor
    radius: float
    verdict: str
    lasts: int | None
    exact: bool


def memory_of(chain: Chain) -> Memory:
    """Measure a chain.

    >>> from elman.view.stack import stack_of
    >>> from elman.view.chains import half_square, run
    >>> rnn = torch.nn.RNN(1, 3)
    >>> with torch.no_grad():  # which forgets nine tenths at each step, near zero
    ...     _ = rnn.weight_hh_l0.copy_(torch.eye(3) / 10)
    ...     _ = [bias.zero_() for bias in (rnn.bias_ih_l0, rnn.bias_hh_l0)]
    >>> stack, x = stack_of(rnn), torch.zeros(5, 1)
    >>> chain, = run(stack, x, stack.first(), rnn(x)[0].detach(), half_square)
    >>> memory = memory_of(chain)
    >>> memory.gain.log10().round(decimals=3).tolist(), round(memory.radius, 3)
    ([-4.0, -3.0, -2.0, -1.0, 0.0], 0.1)
    >>> memory.verdict, memory.lasts
    ('vanishing', 3)
    """
    J = chain.jacobians.at(slice(chain.since, None))
    if chain.weights.reverse:  # along the way it reads
        J = J.flip()
    gain = _gain(J)
    faded = (gain.flip(0) < FADED).nonzero()
    lasts = int(faded[0]) if len(faded) else None
    if not torch.isfinite(gain).all() or gain.max() > GROWN:
        verdict = "exploding"
    else:
        verdict = "vanishing" if lasts is not None else "healthy"
    jacobian = stretch(J)
    if chain.weights.reverse:
        gain, jacobian = gain.flip(0), jacobian.flip(0)
    exact = len(J.weight) <= EXACT
    return Memory(gain, jacobian, spectral_radius(J.weight), verdict, lasts, exact)


def _gain(J: Jacobians) -> Tensor:
    """From the last step back: R ∂h_T/∂h_t for the rows of R, all directions or a sample."""
    H = len(J.weight)
    if H <= EXACT:
        R = torch.eye(H, dtype=J.weight.dtype)
    else:
        rng = torch.Generator().manual_seed(0)
        R = torch.randn(DIRECTIONS, H, generator=rng, dtype=J.weight.dtype)
    whole, gains = R.norm(), []
    for t in reversed(range(J.steps)):
        gains.append(R.norm() / whole)
        R = J.at(t).back(R)
    return torch.stack(gains[::-1])


def stretch(J: Jacobians) -> Tensor:
    """‖J_t‖₂ for each t, (L,).

    Of up to SMALL units by all singular values; of more by Golub and Kahan's bidiagonalisation,
    whose largest has converged to many digits after KRYLOV steps.
    """
    measure = _stretch if len(J.weight) > SMALL else _stretch_small
    parts = range(0, J.steps, STEPS)
    return torch.cat([measure(J.at(slice(t, t + STEPS))) for t in parts])


def _stretch_small(J: Jacobians) -> Tensor:
    return torch.linalg.svdvals(J.dense())[:, 0]


def _stretch(J: Jacobians) -> Tensor:
    W, L = J.weight, J.steps
    H = len(W)
    rng = torch.Generator().manual_seed(0)
    U, V = (torch.zeros(L, KRYLOV, H, dtype=W.dtype) for _ in range(2))
    B = torch.zeros(L, KRYLOV, KRYLOV, dtype=W.dtype)
    V[:, 0] = _unit(torch.randn(L, H, generator=rng, dtype=W.dtype))[0]
    for k in range(KRYLOV):
        u = _apart(J.onto(V[:, k, :, None])[..., 0], U[:, :k])  # J v, less what is there already
        U[:, k], B[:, k, k] = _unit(u)
        if k + 1 < KRYLOV:
            v = _apart(J.back(U[:, k, None])[:, 0], V[:, : k + 1])  # Jᵀ u
            V[:, k + 1], B[:, k, k + 1] = _unit(v)
    return torch.linalg.svdvals(B)[:, 0]


def _apart(x: Tensor, basis: Tensor) -> Tensor:
    """x, (L, H), without its parts along the basis, (L, k, H); twice, for rounding."""
    for _ in range(2):
        x = x - (basis.mT @ (basis @ x[:, :, None]))[:, :, 0]
    return x


def _unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of length one, and the lengths they had; a row of zeros stays."""
    length = x.norm(dim=1)
    kept = torch.where(length > 1e-12, length, torch.zeros_like(length))
    return x / torch.where(kept > 0, kept, torch.ones_like(kept))[:, None], kept


def spectral_radius(W: Tensor) -> float:
    """The largest modulus of an eigenvalue; beyond 2·EXACT units that of Arnoldi's process."""
    if len(W) <= 2 * EXACT:
        return float(torch.linalg.eigvals(W).abs().max())
    rng = torch.Generator().manual_seed(0)
    q = torch.randn(len(W), generator=rng, dtype=W.dtype)
    Q = [q / q.norm()]
    A = torch.zeros(6 * KRYLOV, 6 * KRYLOV, dtype=W.dtype)
    for k in range(len(A)):
        w = W @ Q[k]
        basis = torch.stack(Q)
        for _ in range(2):
            part = basis @ w
            A[: k + 1, k] += part
            w = w - basis.mT @ part
        if k + 1 == len(A) or w.norm() < 1e-12:
            break
        A[k + 1, k] = w.norm()
        Q.append(w / w.norm())
    return float(torch.linalg.eigvals(A[: len(Q), : len(Q)]).abs().max())
