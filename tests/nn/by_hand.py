"""What an `elman.RNN` with dynamics, wiring and flags computes: row by row, unit by unit of time.

Written from the equations in the docstrings of `Dynamics` and `Wiring`, over torch's differentiable
operators alone, and reading nothing of elman.nn but parameters and arguments.
"""

from dataclasses import dataclass, field

import torch
from torch.nn import functional

from elman.ops.activations import NONLINEARITIES


@dataclass
class Masks:
    """What was drawn at random: None where nothing was."""

    input: dict = field(default_factory=dict)  # by layer, (1, N, width)
    output: dict = field(default_factory=dict)
    inside: dict = field(default_factory=dict)  # by layer and direction, (1, N, H)
    new: dict = field(default_factory=dict)  # 1 where zoneout lets a new state in, (L, N, H)
    noise: dict = field(default_factory=dict)  # (L, N, H)


def by_hand(rnn, x, h_0=None, lengths=None, mask=None, reset=None, masks=None):
    """The outputs of all layers, each (L, N, width), and their last states, each (D, N, H).

    x is (L, N, H_in), mask and reset are (L, N); h_0 is a tensor (D, N, H) for each layer.
    """
    masks = masks or Masks()
    N = x.shape[1]
    rows = [
        _row(
            rnn, x[:, n], n, None if h_0 is None else [h[:, n] for h in h_0],
            x.shape[0] if lengths is None else int(lengths[n]),
            None if mask is None else mask[:, n], None if reset is None else reset[:, n], masks,
        )
        for n in range(N)
    ]  # fmt: skip
    layers = range(len(rnn.hidden_sizes))
    outputs = [torch.stack([row[0][k] for row in rows], 1) for k in layers]
    return outputs, [torch.stack([row[1][k] for row in rows], 1) for k in layers]


def _row(rnn, x, n, h_0, length, mask, reset, masks):
    L, wiring = len(x), rnn.wiring
    outputs, last = [], []
    below = x[:length]
    if mask is not None:
        below = torch.where(mask[:length, None], below, torch.zeros(()).to(x))
    for k, H in enumerate(rnn.hidden_sizes):
        states, ends = [], []
        into = below if k not in masks.input else below * masks.input[k][0, n]
        for d in range(2 if rnn.bidirectional else 1):
            backward = d == 1 or (wiring is not None and wiring.reverse)
            if h_0 is not None:
                first = h_0[k][d]
            elif wiring is not None and wiring.learn_h_0:
                first = getattr(rnn, f"h_0_l{k}")[d]
            else:
                first = x.new_zeros(H)
            found, end = _direction(rnn, k, d, into, first, backward, n, mask, reset, masks)
            states.append(found)
            ends.append(end)
        above = _merged(states, "concat" if wiring is None else wiring.merge)
        if k in masks.output:
            above = above * masks.output[k][0, n]
        if wiring is not None and wiring.residual and above.shape == below.shape:
            above = above + below
        below = above
        outputs.append(functional.pad(above, (0, 0, 0, L - length)))
        last.append(torch.stack(ends))
    return outputs, last


def _merged(states, how):
    if len(states) == 1 or how == "concat":
        return torch.cat(states, -1)
    return (states[0] + states[1]) / (1 if how == "sum" else 2)


def _direction(rnn, k, d, x, h, backward, n, mask, reset, masks):
    """The states of one direction, in the order of time, and the one it ends with."""
    suffix = f"_l{k}" + ("_reverse" if d else "")
    length, states = len(x), {}
    for t in reversed(range(length)) if backward else range(length):
        if reset is not None:
            # a direction that comes from the end leaves an episode where the next one began
            begins = bool(reset[t + 1]) if backward and t + 1 < length else False
            if begins if backward else bool(reset[t]):
                h = torch.zeros_like(h)
        if mask is None or bool(mask[t]):
            h = _step(rnn, suffix, k, d, x[t], h, t, n, masks)
        states[t] = h
    H = rnn.hidden_sizes[k]
    return torch.stack([states[t] for t in range(length)]) if length else x.new_zeros(0, H), h


def _step(rnn, suffix, k, d, x, h, t, n, masks):
    dynamics = rnn.dynamics
    weight_ih, weight_hh = (getattr(rnn, f"weight_{w}{suffix}") for w in ("ih", "hh"))
    inside = h * masks.inside[k, d][0, n] if (k, d) in masks.inside else h
    z = weight_ih @ x + weight_hh @ inside
    for name in ("bias_ih", "bias_hh"):
        if hasattr(rnn, name + suffix):
            z = z + getattr(rnn, name + suffix)
    if (k, d) in masks.noise:
        z = z + masks.noise[k, d][t, n]
    if dynamics is not None and dynamics.layer_norm:
        centred = z - z.mean()
        z = centred / (centred.square().mean() + 1e-5).sqrt()
        z = z * getattr(rnn, f"norm_weight{suffix}") + getattr(rnn, f"norm_bias{suffix}")
    if dynamics is not None and dynamics.clip is not None:
        z = torch.minimum(
            torch.maximum(z, -z.new_tensor(dynamics.clip)), z.new_tensor(dynamics.clip)
        )
    f = rnn.nonlinearity
    y = NONLINEARITIES[f](z) if isinstance(f, str) else f(z)
    if dynamics is None:
        return y
    if dynamics.learn_leak:
        alpha = torch.sigmoid(getattr(rnn, f"leak_logit{suffix}"))
    else:
        alpha = torch.tensor(dynamics.leak, dtype=h.dtype)
    new = (1 - alpha) * h + alpha * y
    if (k, d) in masks.new:
        return torch.where(masks.new[k, d][t, n] == 1, new, h)
    return dynamics.zoneout * h + (1 - dynamics.zoneout) * new  # in the mean
