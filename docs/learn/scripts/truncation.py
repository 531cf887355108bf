"""Say again what came ten steps ago, trained in chunks: what truncation costs. For page 8.

An endless stream of random bits; at each step the network must tell the bit of LAG steps
before. Guessing is right in half of the cases. The stream is cut into chunks, gradients stop
at the cuts, and the state is carried over them or begins at zero anew.
"""

import torch
from torch import nn
from torch.nn import functional

import elman
from elman.nn import init_recurrent

LAG, H, N, UPDATES, RATE, SEEDS, TEST = 10, 32, 32, 1000, 2e-3, 5, 1000
CHUNKS = (1, 5, 10, 20, 40)
#: name: (init_recurrent's `how`, is the state carried over the cuts, does the layer learn too)
SETTINGS = {
    "uniform, carried": ("torch", True, True),
    "orthogonal, carried": ("orthogonal", True, True),
    "orthogonal, from zero": ("orthogonal", False, True),
    "orthogonal, carried, only the head learns": ("orthogonal", True, False),
}


def learn(how: str, carried: bool, whole: bool, chunk: int, seed: int) -> float:
    """The share of bits told rightly in a stream that goes on for 1000 more steps."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    rnn, head = elman.RNN(1, H), nn.Linear(H, 1)
    init_recurrent(rnn, how)
    rnn.requires_grad_(whole)
    parameters = [*(rnn.parameters() if whole else ()), *head.parameters()]
    adam, state, trained = torch.optim.Adam(parameters, lr=RATE), None, LAG + UPDATES * chunk
    bits = torch.randint(2, (trained + TEST, N, 1), generator=generator).float()
    for start in range(LAG, trained, chunk):
        x, target = bits[start : start + chunk], bits[start - LAG : start - LAG + chunk]
        output, h_n = rnn(x, state)  # (chunk, N, H), (1, N, H)
        adam.zero_grad()
        functional.binary_cross_entropy_with_logits(head(output), target).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        state = h_n.detach() if carried else None
    with torch.inference_mode():
        output, _ = rnn(bits[trained:])
        right = (head(output[LAG:]) > 0).float() == bits[trained:-LAG]
    return right.float().mean().item()


def measure() -> dict[str, dict[str, list[float]]]:
    """For each setting and chunk the share that is right, a number a seed."""
    return {
        name: {
            str(chunk): [learn(*setting, chunk, seed) for seed in range(SEEDS)] for chunk in CHUNKS
        }
        for name, setting in SETTINGS.items()
    }
