"""What the tests of the view share: the same step in float64 and torch's own words, and numbers
taken out of a page."""

import base64
import json
import re

import numpy as np
import torch
from torch import nn

F = {"tanh": torch.tanh, "relu": torch.relu, "identity": lambda z: z}


def by_hand(rnn, x, h_0=None):
    """Every state of every layer and direction by the equation, float64: a list of (L, H) with
    each step a leaf of its own for autograd.
    """
    weights = {name: p.detach().double() for name, p in rnn.state_dict().items()}
    f = F[getattr(rnn, "nonlinearity", "tanh")]
    below, chains = x.double(), []
    D = 2 if rnn.bidirectional else 1
    for layer in range(rnn.num_layers):
        of_layer = []
        for d in range(D):
            suffix = f"_l{layer}" + ("_reverse" if d else "")
            bias = weights.get(f"bias_ih{suffix}", 0) + weights.get(f"bias_hh{suffix}", 0)
            h = torch.zeros(rnn.hidden_size) if h_0 is None else h_0[len(chains)]
            h, states = h.double(), {}
            order = range(len(below))
            for t in reversed(order) if d else order:
                z = below[t] @ weights["weight_ih" + suffix].T + bias
                h = f(z + h @ weights["weight_hh" + suffix].T)
                if not h.requires_grad:
                    h.requires_grad_(True)
                h.retain_grad()
                states[t] = h
            chains.append([states[t] for t in order])
            of_layer.append(chains[-1])
        below = torch.stack([torch.cat(at) for at in zip(*of_layer, strict=True)])
    return chains


def document(html):
    """What a page was made of."""
    return json.loads(re.search(r'id="trace">(.*?)</script>', html, re.DOTALL)[1])


def array(packed):
    data = np.frombuffer(base64.b64decode(packed["data"]), "<f4")
    return torch.tensor(data.reshape(packed["shape"]))


def eye_like(rnn, scale):
    """Make W_hh a multiple of the identity."""
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(scale * torch.eye(rnn.hidden_size))
    return rnn


def layer(*sizes, **options):
    torch.manual_seed(1)
    return nn.RNN(*sizes, **options)
