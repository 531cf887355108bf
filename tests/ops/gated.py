"""Gates for a layer in every form they may have, and the loop such a layer is held against.

Roundings as in layers.py, with eight more a step for the gates: L² N (K + H + 13). A gate's own
gradient, where it is one for all, sums over L·N·H numbers instead: H more times.
"""

import torch
from torch.nn import functional

from elman.ops import Gates, Norm, ended, reference
from tests.ops.layers import K, flat, nested
from tests.tolerances import distance, largest, worst

#: Which of steps, rows and columns a gate differs in; packed, "LN" are all its rows.
FORMS = ("LNH", "NH", "H", "LN", "N", "")
DENSE_ALONE = ("L", "LH")


def forms(layout):
    return FORMS + (DENSE_ALONE if layout.lengths is None else ())


def shape_of(form, layout):
    N, H = layout.N if "N" in form else 1, layout.H if "H" in form else 1
    if layout.lengths is not None and "L" in form:
        return (sum(layout.lengths), H)
    return (layout.L if "L" in form and layout.lengths is None else 1, N, H)


def gates_for(layout, D, names, form):
    """Of each direction; g within 0 and 1/2, the others within ±1/2, so that nothing grows."""
    made = []
    for _ in range(D):
        one = {n: torch.rand(shape_of(form, layout), dtype=torch.float64) - 0.5 for n in names}
        if "g" in one:
            one["g"] = one["g"].abs()
        made.append(Gates(**one))
    return made


def of_gates(gates):
    return [c for one in gates for c in one if c is not None]


def like(gates, tensors):
    """Gates as these, of the next tensors."""
    return [Gates(*(None if c is None else next(tensors) for c in one)) for one in gates]


def spread_out(c, layout):
    """A gate in the shape of a sequence, step by step."""
    if layout.lengths is None:
        return c.expand(layout.L, layout.N, layout.H)
    if c.dim() == 2:
        return c.expand(sum(layout.lengths), layout.H)
    rows = c[0].expand(layout.N, layout.H)
    steps = [rows[:size] for size in layout.batch_sizes.tolist()]
    return torch.cat([rows[:0], *steps])


def looped(layout):
    """The layer by the plain loop, in the signature of `layer`."""

    def run(x, h_0, weights, nonlinearity, batch_sizes, gates, bound, norms=()):
        outputs, last = [], []
        for d, (W_ih, W_hh, *biases) in enumerate(weights):
            a = functional.linear(x, W_ih, sum(biases) if biases else None)
            one = gates[d] if gates else Gates()
            g, q, e, r = (None if c is None else spread_out(c, layout) for c in one)
            if e is None and g is not None:
                e = 1 - g
            if r is not None:
                q, e = r if q is None else q * r, None if e is None else e * r
            time, norm = (batch_sizes, d == 1), norms[d] if norms else None
            between = g, q, e, bound
            h, _ = reference.gated_scan(a, W_hh, h_0[d], nonlinearity, *between, *time, norm)
            outputs.append(h)
            last.append(ended(h, h_0[d], *time))
        return torch.cat(outputs, -1), torch.stack(last)

    return run


def results(f, made, gates, bars, layout, nonlinearity="tanh", bound=None, wanted=None, norms=()):
    """output, h_n and the gradients of x, h_0, gates, norms and weights, as far as wanted."""
    x, h_0, weights = made
    D = len(weights)
    even = [t for norm in norms for t in (norm.weight, norm.bias)]
    tensors = [x, h_0, *of_gates(gates), *even, *flat(x, h_0, weights)[2:]]
    leaves = [
        t.detach().requires_grad_(wanted is None or wants)
        for t, wants in zip(tensors, wanted or tensors, strict=True)
    ]
    rest = iter(leaves[2:])
    given = like(gates, rest)
    inner = [Norm(next(rest), next(rest), norm.eps) for norm in norms]
    time, weights = layout.batch_sizes, nested(list(rest), D)
    output, h_n = f(leaves[0], leaves[1], weights, nonlinearity, time, given, bound, inner)
    found = [output.detach(), h_n.detach()]
    asked = [leaf for leaf in leaves if leaf.requires_grad]
    reached = [
        (r, b)
        for r, b in zip((output, h_n), bars, strict=True)
        if b is not None and r.requires_grad  # a plain loop of no steps touches nothing
    ]
    if not reached:
        return found + [torch.zeros_like(leaf) for leaf in asked]
    return found + list(
        torch.autograd.grad(
            [r for r, _ in reached], asked, [b for _, b in reached], materialize_grads=True
        )
    )


def same(ours, truth, layout, case=""):
    steps = max(1, layout.L) ** 2 * max(1, layout.N) * layout.H * (K + layout.H + 13)
    allowed = worst(steps, 4 * max(1, layout.L) * max(1.0, largest(truth[0])))
    assert len(ours) == len(truth), case
    for k, (got, want) in enumerate(zip(ours, truth, strict=True)):
        assert got.shape == want.shape, f"{case} {k}"
        assert distance(got, want) <= allowed, f"{case} {k}"
