"""All that an `elman.RNN` can be, in small, and each of its steps by hand in float64."""

import copy
import warnings

import torch
from torch import nn

from elman import RNN, Dynamics, Wiring
from elman.ops import NONLINEARITIES
from tests.nn.by_hand import Masks, _merged, _step


def wave(z):
    return torch.sin(z)


def shared(z):
    """A function of the whole row: what a unit has, the others lack."""
    return 3 * torch.softmax(z, -1)


#: Beside Dynamics, what else of a step may differ: f.
STEPS = {
    "plain": {},
    "leak": {"dynamics": Dynamics(leak=0.3)},
    "leak of each": {"dynamics": Dynamics(leak=[0.125, 0.25, 0.5, 0.75, 1.0])},
    "learned leak": {"dynamics": Dynamics(leak=0.4, learn_leak=True)},
    "zoneout": {"dynamics": Dynamics(zoneout=0.25)},
    "clip": {"dynamics": Dynamics(clip=0.6)},
    "norm": {"dynamics": Dynamics(layer_norm=True)},
    "off in eval": {"dynamics": Dynamics(recurrent_dropout=0.5, noise=1.0)},
    "all": {
        "dynamics": Dynamics(
            leak=0.4, learn_leak=True, zoneout=0.1, recurrent_dropout=0.2, noise=0.5, clip=0.8,
            layer_norm=True,
        ),
        "nonlinearity": "elu",
    },
    "norm and relu": {"dynamics": Dynamics(layer_norm=True, leak=0.5), "nonlinearity": "relu"},
    "sigmoid, clip": {"dynamics": Dynamics(clip=0.9), "nonlinearity": "sigmoid"},
    **{f: {"nonlinearity": f} for f in NONLINEARITIES if f not in ("tanh", "sigmoid", "elu")},
    "own": {"nonlinearity": wave, "dynamics": Dynamics(clip=1.0, leak=0.6)},
    "own module": {"nonlinearity": nn.PReLU(init=0.2)},
    "own, of all units": {"nonlinearity": shared, "dynamics": Dynamics(layer_norm=True, leak=0.6)},
}  # fmt: skip

#: How layers may be put together: (arguments, wiring).
WIRED = {
    "sizes": ({"num_layers": 3}, Wiring(hidden_sizes=[3, 7, 5])),
    "residual": ({"num_layers": 3}, Wiring(hidden_sizes=[4, 5, 5], residual=True)),
    "residual, both ways": ({"num_layers": 2, "bidirectional": True}, Wiring(residual=True)),
    "sum": ({"num_layers": 2, "bidirectional": True}, Wiring(merge="sum")),
    "mean": (
        {"num_layers": 3, "bidirectional": True},
        Wiring(merge="mean", residual=True, hidden_sizes=[4, 6, 5], learn_h_0=True),
    ),
    "reverse": ({"num_layers": 2}, Wiring(reverse=True, residual=True)),
    "one bias, learned": ({"num_layers": 2}, Wiring(one_bias=True, learn_h_0=True)),
}


def made(arguments, input_size=4, hidden_size=5):
    """An RNN with weights that matter, in eval mode."""
    torch.manual_seed(5)
    with warnings.catch_warnings():  # a function of one's own is slow, as is told
        warnings.simplefilter("ignore", UserWarning)
        rnn = RNN(input_size, hidden_size, **copy.deepcopy(arguments))
    for name, parameter in rnn.named_parameters():
        if not name.startswith("nonlinearity"):
            nn.init.normal_(parameter, std=0.6)
    return rnn.eval()


def step(arguments):
    return made(arguments)


def wired(name):
    """With a leak and a norm, since these go with every wiring."""
    arguments, wiring = WIRED[name]
    dynamics = Dynamics(leak=0.6, layer_norm=True)
    return made({**arguments, "wiring": wiring, "dynamics": dynamics})


def one_step(rnn, layer, direction, x_t, h):
    """h_t from h_{t-1}, by the equations."""
    suffix = f"_l{layer}" + ("_reverse" if direction else "")
    return _step(rnn, suffix, layer, direction, x_t, h, 0, 0, Masks())


def stepped(rnn, x):
    """In float64: for each layer and direction x_t, the state before, and h_t, each a list in the
    order of time with h_t's gradient kept; and the last layer's output, a list.
    """
    rnn, below = copy.deepcopy(rnn).double(), list(x.double())
    wiring, chains = rnn.wiring_or_plain, []
    for k, H in enumerate(rnn.hidden_sizes):
        sides = []
        for d in range(2 if rnn.bidirectional else 1):
            h = x.new_zeros(H).double()
            if wiring.learn_h_0:
                h = getattr(rnn, f"h_0_l{k}")[d].detach()
            order, before, after = range(len(below)), {}, {}
            for t in reversed(order) if d or wiring.reverse else order:
                before[t] = h
                h = one_step(rnn, k, d, below[t], h)
                if not h.requires_grad:
                    h.requires_grad_()
                h.retain_grad()
                after[t] = h
            chains.append((below, [before[t] for t in order], [after[t] for t in order]))
            sides.append(chains[-1][2])
        above = [_merged(of, wiring.merge) for of in zip(*sides, strict=True)]
        if wiring.residual and above[0].shape == below[0].shape:
            above = [a + b for a, b in zip(above, below, strict=True)]
        below = above
    return rnn, chains, below


def terms(rnn, layer, direction, x_t, before):
    """What a page says of a step, by the names of its lines, (H,) each, in float64."""
    suffix = f"_l{layer}" + ("_reverse" if direction else "")
    of = {name.removesuffix(suffix): p.detach().double() for name, p in rnn.named_parameters()
          if name.endswith(suffix)}  # fmt: skip
    found = {"input": of["weight_ih"] @ x_t, "state": of["weight_hh"] @ before}
    biases = [of[name] for name in ("bias_ih", "bias_hh") if name in of]
    if biases:
        found["bias"] = sum(biases)
    found["sum"] = z = sum(found.values())
    dynamics = rnn.dynamics or Dynamics()
    if dynamics.layer_norm:
        mean = z.mean()
        spread = ((z - mean).square().mean() + 1e-5).sqrt()
        found |= {"mean": mean.expand_as(z), "spread": spread.expand_as(z)}
        found["norm"] = z = of["norm_weight"] * (z - mean) / spread + of["norm_bias"]
    if dynamics.clip is not None:
        found["clip"] = z = z.clamp(-dynamics.clip, dynamics.clip)
    f = copy.deepcopy(rnn).double().nonlinearity
    f = NONLINEARITIES[f] if isinstance(f, str) else f
    found["f"] = y = f(z).detach()
    found["slope"] = torch.autograd.functional.jacobian(f, z).diagonal()
    if dynamics.clip is not None:
        found["slope"] = found["slope"] * (z.abs() < dynamics.clip)
    new = torch.sigmoid(of["leak_logit"]) if dynamics.learn_leak else torch.tensor(dynamics.leak)
    new = (new.double() * (1 - dynamics.zoneout)).expand_as(y)
    if dynamics.plain_in_eval or (dynamics.leak == 1 and not dynamics.zoneout):
        return found | {"h": found["f"]}
    found |= {"keep": (1 - new) * before, "fresh": new * found["f"]}
    found["mix"] = found["keep"] + found["fresh"]
    return found | {"h": found["mix"]}
