"""What the general machinery costs, and what per-sample gradients gain.

    python benchmarks/transforms.py

One thread, all contestants turn by turn, medians, after a check that they agree.

1. Microseconds of a plain call and of a training call of a tiny `elman.RNN` beside the leanest path
   there is: the operator alone, and one torch.autograd.Function around it and its gradients.
   Exits with 1 where the layer adds more than 20 and 40.
2. Gradients of each of 32 samples: `vmap(grad(loss))` beside loops over the samples: of
   torch.nn.RNN and of elman.RNN by autograd, and of elman.RNN by torch.func.grad. Exits with 1
   where it is not 5 times as fast as the loop over torch.nn.RNN, which has no vmap.
"""

import statistics
import sys
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

import elman
from elman.bench.timing import Effort, alternate
from elman.ops import cpu

N = 32
SIZES = [(128, 128, 128), (100, 10, 32), (20, 768, 128)]  # L, H_in, H


class Lean(torch.autograd.Function):
    """The operators, and no question asked."""

    @staticmethod
    def forward(ctx, x, h_0, *weights):  # noqa: D102
        results = cpu.layer(x, h_0, list(weights), True, "tanh", None)
        ctx.save_for_backward(x, h_0, results[0], *weights)
        return results

    @staticmethod
    def backward(ctx, output_bar, h_n_bar):  # noqa: D102
        x, h_0, output, *weights = ctx.saved_tensors
        wanted = False, False, True
        found = cpu.layer_backward(
            output_bar, h_n_bar, x, h_0, output, weights, True, "tanh", None, wanted
        )
        return None, None, *found[2:]


def medians(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds a call."""
    return {name: statistics.median(t) for name, t in alternate(calls, Effort(15, 3.0)).items()}


def costs() -> bool:
    """Print what the machinery costs; whether it is as little as it should be."""
    rnn, x, h_0 = elman.RNN(8, 8), torch.randn(3, 1, 8), torch.zeros(1, 1, 8)
    weights = list(rnn.parameters())
    bare = [w.detach() for w in weights]

    def plain() -> None:
        with torch.no_grad():
            rnn(x)

    took = medians(
        {
            "the operator": lambda: cpu.layer(x, h_0, bare, True, "tanh", None),
            "elman.RNN": plain,
            "training, leanest": lambda: Lean.apply(x, h_0, *weights)[0].sum().backward(),
            "training, elman.RNN": lambda: rnn(x)[0].sum().backward(),
        }
    )
    for name, seconds in took.items():
        print(f"{name:<22}{1e6 * seconds:8.1f} µs")
    forward = 1e6 * (took["elman.RNN"] - took["the operator"])
    train = 1e6 * (took["training, elman.RNN"] - took["training, leanest"])
    print(f"{'added':<22}{forward:8.1f} µs forward (20), {train:.1f} µs in training (40)\n")
    return forward <= 20 and train <= 40


def per_sample(L: int, H_in: int, H: int) -> bool:
    """Print the ratios at a size; whether vmap is 5 times as fast as torch's loop."""
    ours, theirs = elman.RNN(H_in, H), torch.nn.RNN(H_in, H)
    theirs.load_state_dict(ours.state_dict())
    W = {name: p.detach() for name, p in ours.named_parameters()}
    x = torch.randn(N, L, 1, H_in)

    def loss(W: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(ours, W, (x,))[0].square().sum()

    def together() -> dict[str, Tensor]:
        return vmap(grad(loss), (None, 0))(W, x)

    def loop(rnn: torch.nn.Module) -> list[Tensor]:
        parameters = list(rnn.parameters())
        each = [torch.autograd.grad(rnn(row)[0].square().sum(), parameters) for row in x]
        return [torch.stack(gradients) for gradients in zip(*each, strict=True)]

    for got, want in zip(together().values(), loop(theirs), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3 * float(want.abs().max()))
    took = medians(
        {
            "vmap(grad)": together,
            "torch.nn.RNN": lambda: loop(theirs),
            "elman.RNN": lambda: loop(ours),
            "torch.func.grad": lambda: [grad(loss)(W, row) for row in x],
        }
    )
    base = took.pop("vmap(grad)")
    ratios = "".join(f"{seconds / base:>17.1f}" for seconds in took.values())
    print(f"{f'{L}, {H_in}, {H}':<14}{1e3 * base:>9.2f} ms{ratios}", flush=True)
    return took["torch.nn.RNN"] >= 5 * base


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, elman {elman.__version__}, 1 thread\n")
    cheap = costs()
    loops = "".join(f"{name:>17}" for name in ("torch.nn.RNN", "elman.RNN", "torch.func.grad"))
    print(f"{'L, H_in, H':<14}{'vmap(grad)':>12}{loops}   (times as long, 32 samples)")
    fast = [per_sample(*size) for size in SIZES]
    sys.exit(0 if cheap and all(fast) else 1)


if __name__ == "__main__":
    main()
