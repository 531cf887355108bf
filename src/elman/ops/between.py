"""The recurrence between gates, as a plain loop to be read; `reference.py` has it without."""

from torch import Tensor

from elman.ops.activations import Nonlinearity, activate
from elman.ops.layout import continued, in_order, joined, product, scaled
from elman.ops.norm import Norm, normalised


def gated_scan(
    a: Tensor,
    weight_hh: Tensor,
    h_0: Tensor,
    nonlinearity: Nonlinearity = "tanh",
    g: Tensor | None = None,
    q: Tensor | None = None,
    e: Tensor | None = None,
    bound: float | None = None,
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
    norm: Norm | None = None,
) -> tuple[Tensor, Tensor]:
    """Between gates, h_t = e_t ⊙ h_{t-1} + g_t ⊙ y_t with y_t = f(a_t + (q_t ⊙ h_{t-1}) Wᵀ).

    Every h_t and every y_t, in the shape of `a`. An absent g or q is one, an absent e zero. With a
    norm f sees the sum normalised over each row.
    """
    h, states, inner = h_0, [], []
    for a_t, g_t, q_t, e_t in in_order(batch_sizes, reverse, a, g, q, e):
        h = continued(h, h_0, a_t.shape[0])
        z = a_t + product(scaled(q_t, h), weight_hh.mT)
        y = activate(z if norm is None else normalised(z, norm), nonlinearity, bound)
        h = scaled(g_t, y) if e_t is None else e_t * h + scaled(g_t, y)
        states.append(h)
        inner.append(y)
    return joined(states, a, reverse), joined(inner, a, reverse)
