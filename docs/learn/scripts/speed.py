"""How many times as fast the layer is as the same steps of the cell. For page 4."""

import time
from collections.abc import Callable
from statistics import median

import torch

import elman

L, N, H_IN, H, ROUNDS = 100, 32, 32, 64, 30


def pair() -> tuple[Callable[[], None], Callable[[], None]]:
    """A forward and backward pass by the cell, and the same by the layer."""
    torch.manual_seed(0)
    cell, layer = elman.RNNCell(H_IN, H), elman.RNN(H_IN, H)
    weights = {f"{name}_l0": value for name, value in cell.state_dict().items()}
    layer.load_state_dict(weights)
    x = torch.randn(L, N, H_IN)

    def by_cell() -> torch.Tensor:
        h, states = torch.zeros(N, H), []
        for x_t in x:
            h = cell(x_t, h)
            states.append(h)
        return torch.stack(states)

    torch.testing.assert_close(by_cell(), layer(x)[0])  # first equal, then timed

    return (lambda: by_cell().sum().backward()), (lambda: layer(x)[0].sum().backward())


def measure() -> dict[str, float]:
    """The ratio of the times, by turns in one run: median, and the quarters of the spread."""
    torch.set_num_threads(1)
    cell, layer = pair()
    ratios = []
    for _ in range(ROUNDS + 3):
        times = []
        for run in (cell, layer):
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
        ratios.append(times[0] / times[1])
    ratios = sorted(ratios[3:])  # the first ones warm up
    return {
        "median": median(ratios),
        "lower": ratios[ROUNDS // 4],
        "upper": ratios[-ROUNDS // 4],
    }
