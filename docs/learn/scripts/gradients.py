"""How large the gradient is that reaches a state k steps back: page 7's measurement."""

from statistics import median

import torch
from torch import Tensor

import elman

H_IN, H, L, N, SEEDS = 8, 64, 51, 16, 10
#: name: (nonlinearity, what becomes of the recurrent weights torch draws)
SETTINGS = {
    "tanh, uniform": ("tanh", "uniform"),
    "relu, uniform": ("relu", "uniform"),
    "tanh, orthogonal": ("tanh", "orthogonal"),
    "relu, identity": ("relu", "identity"),
    "tanh, orthogonal × 1.5": ("tanh", "orthogonal × 1.5"),
}


def recurrent(cell: elman.RNNCell, how: str) -> None:
    """Set the cell's W_hh; "uniform" leaves it as it begins."""
    with torch.no_grad():
        if how.startswith("orthogonal"):
            torch.nn.init.orthogonal_(cell.weight_hh)
            cell.weight_hh.mul_(float(how.partition("× ")[2] or 1))
        elif how == "identity":
            torch.nn.init.eye_(cell.weight_hh)
            cell.bias_ih.zero_()
            cell.bias_hh.zero_()


def sizes(nonlinearity: str, how: str, seed: int) -> list[float]:
    """|∂J/∂h_t| / |∂J/∂h_L| for k = L - t = 0, 1, ...; J weighs the last state at random."""
    torch.manual_seed(seed)
    cell = elman.RNNCell(H_IN, H, nonlinearity=nonlinearity)
    recurrent(cell, how)
    h, states = torch.zeros(N, H), []
    for x_t in torch.randn(L, N, H_IN):
        h = cell(x_t, h)  # (N, H)
        h.retain_grad()
        states.append(h)
    (h * torch.randn(H)).sum().backward()
    gradient = torch.stack([_gradient(state).norm() for state in reversed(states)])
    return (gradient / gradient[0]).tolist()


def _gradient(state: Tensor) -> Tensor:
    if state.grad is None:
        raise ValueError("a state without a gradient")
    return state.grad


def measure() -> dict[str, dict[str, list[float]]]:
    """For each setting the median, least and largest over the seeds, by steps back."""
    found = {}
    for name, (nonlinearity, how) in SETTINGS.items():
        runs = list(zip(*(sizes(nonlinearity, how, seed) for seed in range(SEEDS)), strict=True))
        found[name] = {
            "median": [median(at) for at in runs],
            "least": [min(at) for at in runs],
            "largest": [max(at) for at in runs],
        }
    return found
