"""A long layer's forward pass, with most of its input's product beside the scan.

A scan leaves some multiprocessors idle. The product of the first steps is there when it begins;
that of the others is made on those meanwhile, in a stream of its own, and a second launch of the
scan goes on from the last state of the first. The numbers are the same.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from elman.ops.cuda import compiled, run
from elman.ops.cuda.kinds import FORWARD
from elman.ops.cuda.plans import cost, plan

#: Multiplications of a product that an H200 does in a nanosecond, about.
_SPEED = {torch.float32: 2.4e4, torch.bfloat16: 3.2e5, torch.float16: 3.2e5}
#: Nanoseconds that have to be gained for it to be worth two launches and a second stream.
_WORTH = 5e4


def steps_before(x: Tensor, H: int) -> int:
    """How many of the steps of x should be there before the scan begins.

    So many that the product of the others, on what is idle, takes as long as they are scanned; all
    of them where that is not worth it.
    """
    L, N, H_in = x.shape
    product = x.numel() * H / _SPEED[x.dtype]
    if product < _WORTH:
        return L
    share = _share(N, H_in, H, x.dtype, x.device)
    if (1 - share) * product < _WORTH:
        return L
    if x.is_cuda and torch.cuda.is_current_stream_capturing():
        return L  # such a wait has not been tried within a graph
    return min(L, 1 + int(L * share))


def layer(
    x: Tensor,
    first: Tensor | None,
    weights: list[Tensor],
    nonlinearity: str,
    last: Tensor,
    steps: int,
) -> Tensor:
    """The states of one direction, (L, N, H), from a dense x.

    Args:
        first, last: (N, H), the state there is before, or none, and where the one after goes.
        weights: weight_ih, weight_hh and, or not, both biases.
        steps: whose product is there before.
    """
    weight_ih, weight_hh, *biases = weights
    x, bias = x.contiguous(), biases[0] + biases[1] if biases else None
    a = x.new_empty(*x.shape[:2], len(weight_hh))
    now, later = a[:steps], a[steps:]
    product(x[:steps], weight_ih, bias, now)
    begun = torch.zeros(1, dtype=torch.int32, device=x.device)
    with _beside(begun) as aside:
        run(FORWARD, now, weight_hh, first, f=nonlinearity, out=now, begun=begun)
        with aside():
            product(x[steps:], weight_ih, bias, later)
    run(FORWARD, later, weight_hh, now[-1], f=nonlinearity, out=later, last=last)
    return a


@lru_cache(maxsize=1024)
def _share(N: int, H_in: int, H: int, dtype: torch.dtype, device: torch.device) -> float:
    """The part of the steps whose product should be there before."""
    at_once = compiled.at_once(device)
    cut = plan(H, N, 1, dtype, at_once)
    assert cut is not None, "select.py asks whether there is one"
    idle = 1 - cut.BLOCKS * -(-N // cut.ROWS) / at_once[0]
    if idle < 0.1:
        return 1.0
    beside = N * H_in * H / _SPEED[dtype] / idle
    return beside / (beside + cost(cut, dtype == torch.float32))


def product(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> None:
    """Out = x weightᵀ + bias, of sequences (L, N, ...) or packed rows; `out` is contiguous."""
    rows, to = x.flatten(0, -2), out.flatten(0, -2)
    if bias is None:
        torch.mm(rows, weight.mT, out=to)
    else:
        torch.addmm(bias, rows, weight.mT, out=to)


@contextmanager
def _beside(begun: Tensor) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """What is asked for within what this gives runs beside the kernel that sets `begun`.

    So the kernel has its multiprocessors, which a product would not leave to it. What is asked for
    after all this waits for both. On a processor one runs after another.
    """
    if not begun.is_cuda:
        yield nullcontext
        return
    side, current = _side(begun.device), torch.cuda.current_stream(begun.device)
    ready = current.record_event()  # all that it reads, and a `begun` that is 0

    def aside() -> AbstractContextManager[Any]:
        side.wait_event(ready)
        compiled.wait_until(begun, side.cuda_stream)
        return torch.cuda.stream(side)

    yield aside
    current.wait_stream(side)


@cache
def _side(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
