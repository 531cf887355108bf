"""What a recurrent network is: two loops over time, written to be read.

L steps, N rows in the batch, H hidden units. `a` is what the input says at each step,
(L, N, H), already multiplied by its weights; `h_0` is the state before the first step.
Rows of unequal length come packed, as in `torch.nn.utils.rnn.PackedSequence`: `a` is then
(rows in all, H), step t owns the next `batch_sizes[t]` of them, and the longest rows come
first. A row begins at its own first step, in whichever direction the loop runs.
"""

from torch import Tensor

from elman.ops.activations import NONLINEARITIES
from elman.ops.between import gated_scan as gated_scan
from elman.ops.layout import continued, in_order, joined, product, scaled


def serves(device: object, dtype: object, H: object = None) -> None:
    """The equation serves every device and dtype."""


def scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    nonlinearity: str = "tanh",
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """The Elman recurrence, h_t = f(a_t + h_{t-1} Wᵀ): every h_t, in the shape of `a`."""
    f = NONLINEARITIES[nonlinearity]
    h, states = h_0, []
    for (a_t,) in in_order(batch_sizes, reverse, a):
        h = continued(h, h_0, a_t.shape[0])  # dense: h itself; packed: the rows of this step
        h = f(a_t + product(h, weight_hh.mT))
        states.append(h)
    return joined(states, a, reverse)


def linear_scan(
    x: Tensor,
    weight: Tensor,
    s_0: Tensor,
    p: Tensor | None = None,
    q: Tensor | None = None,
    e: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """Every derivative of it, s_t = x_t + e_t ⊙ s_{t-1} + p_t ⊙ ((q_t ⊙ s_{t-1}) M)."""
    s, states = s_0, []
    for x_t, p_t, q_t, e_t in in_order(batch_sizes, reverse, x, p, q, e):
        s = continued(s, s_0, x_t.shape[0])
        kept = x_t if e_t is None else x_t + e_t * s
        s = kept + scaled(p_t, product(scaled(q_t, s), weight))
        states.append(s)
    return joined(states, x, reverse)
