"""Recall the first letter after L steps: which network learns it? Page 8's measurement.

A sequence begins with one of four letters and goes on with two others that say nothing. Its
last state must tell the first letter. Guessing is right in a quarter of the cases.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

import elman
from elman.nn import init_recurrent

LETTERS, NOISE, H, N, UPDATES, RATE = 4, 2, 32, 32, 600, 1e-3
LENGTHS, SEEDS = (10, 20, 50, 100, 200), 5
#: name: (nonlinearity, init_recurrent's `how`)
SETTINGS = {
    "tanh, uniform": ("tanh", "torch"),
    "relu, uniform": ("relu", "torch"),
    "tanh, orthogonal": ("tanh", "orthogonal"),
    "relu, identity": ("relu", "identity"),
}
CLIPPED, CLIP_SEEDS = 200, 10
#: name: (init_recurrent's `how`, the leak), with tanh
LEAKS = {
    "uniform, leak 0.3": ("torch", 0.3),
    "uniform, leak 0.1": ("torch", 0.1),
    "uniform, leak 0.03": ("torch", 0.03),
    "orthogonal, leak 0.1": ("orthogonal", 0.1),
}


def sequences(N: int, L: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The letters one-hot, (L, N, 6), and the number of the first, (N,)."""
    first = torch.randint(LETTERS, (N,), generator=generator)
    rest = LETTERS + torch.randint(NOISE, (L - 1, N), generator=generator)
    letters = torch.cat([first[None], rest])  # (L, N)
    return functional.one_hot(letters, LETTERS + NOISE).float(), first


def learn(
    nonlinearity: str, how: str, L: int, seed: int, clip: float, leak: float = 1.0
) -> tuple[float, float]:
    """The share of 1000 new sequences told rightly, and the largest gradient norm met."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    dynamics = elman.Dynamics(leak=leak) if leak < 1 else None
    rnn = elman.RNN(LETTERS + NOISE, H, nonlinearity=nonlinearity, dynamics=dynamics)
    init_recurrent(rnn, how)
    head = nn.Linear(H, LETTERS)
    parameters = [*rnn.parameters(), *head.parameters()]
    adam, largest = torch.optim.Adam(parameters, lr=RATE), 0.0
    for _ in range(UPDATES):
        x, first = sequences(N, L, generator)
        _, h_n = rnn(x)  # (1, N, H)
        adam.zero_grad()
        functional.cross_entropy(head(h_n[0]), first).backward()
        largest = max(largest, nn.utils.clip_grad_norm_(parameters, clip).item())
        adam.step()
    x, first = sequences(1000, L, generator)
    with torch.inference_mode():
        right = head(rnn(x)[1][0]).argmax(1) == first
    return right.float().mean().item(), largest


def measure() -> dict[str, dict[str, list[float]]]:
    """For each setting and length the share that is right, a number a seed; clipped at 1."""
    return {
        name: {str(L): [learn(f, how, L, seed, 1.0)[0] for seed in range(SEEDS)] for L in LENGTHS}
        for name, (f, how) in SETTINGS.items()
    }


def measure_leak() -> dict[str, dict[str, list[float]]]:
    """The same with units that keep a part of themselves at each step."""
    return {
        name: {
            str(L): [learn("tanh", how, L, seed, 1.0, leak)[0] for seed in range(SEEDS)]
            for L in LENGTHS
        }
        for name, (how, leak) in LEAKS.items()
    }


def measure_clipping() -> dict[str, dict[str, list[float]]]:
    """The relu that begins as the identity, with clipping and without: share and largest norm."""
    found = {}
    for name, clip in (("without", float("inf")), ("at 1", 1.0)):
        runs = [learn("relu", "identity", CLIPPED, seed, clip) for seed in range(CLIP_SEEDS)]
        found[name] = {"right": [r for r, _ in runs], "largest": [n for _, n in runs]}
    return found
