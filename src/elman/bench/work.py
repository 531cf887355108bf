"""What every contestant of a case is given: the same weights, input and cotangent."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman.bench.cases import Case


@dataclass(frozen=True)
class Work:
    """The numbers of a case, float32 on the CPU.

    Attributes:
        case: what it is.
        weights: those of a torch.nn.RNN, by name.
        x: (L, N, H_in); of a packed case (rows, H_in).
        batch_sizes: int64 (L,), of a packed case; else None.
        cotangent: the gradient of the loss at the output, (L, N, D·H) or (rows, D·H).
    """

    case: Case
    weights: dict[str, Tensor]
    x: Tensor
    batch_sizes: Tensor | None
    cotangent: Tensor

    @property
    def input(self) -> Tensor | PackedSequence:
        """What a layer is called with."""
        return self.x if self.batch_sizes is None else PackedSequence(self.x, self.batch_sizes)


def new_layer(case: Case, dtype: torch.dtype = torch.float32) -> nn.RNN:
    """The torch.nn.RNN of a case, with new weights."""
    return nn.RNN(case.H_in, case.H, case.num_layers, bidirectional=case.bidirectional, dtype=dtype)


def new_work(case: Case, seed: int = 0) -> Work:
    """Draw the numbers of a case: torch.nn.RNN's first weights, the others standard normal."""
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = new_layer(case)
    weights = {name: weight.detach() for name, weight in layer.named_parameters()}
    batch_sizes = None
    rows: tuple[int, ...] = (case.L, case.N)
    if case.lengths is not None:
        lengths = torch.tensor(case.lengths)
        batch_sizes = (lengths[None] > torch.arange(case.L)[:, None]).sum(1)  # (L,)
        rows = (int(lengths.sum()),)
    x = torch.randn(*rows, case.H_in, generator=rng)
    cotangent = torch.randn(*rows, case.directions * case.H, generator=rng)
    return Work(case, weights, x, batch_sizes, cotangent)
