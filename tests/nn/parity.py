"""torch.nn.RNN beside elman.RNN: every combination of arguments and forms of input.

Shared by the parity tests and by docs/make_parity.py.
"""

import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import elman

L, N, H_IN, H_OUT = 5, 3, 2, 4

ARGUMENTS: dict[str, tuple] = {
    "num_layers": (1, 2),
    "nonlinearity": ("tanh", "relu"),
    "bias": (True, False),
    "bidirectional": (False, True),
    "dropout": (0.0, 0.5),
    "batch_first": (False, True),
}
FORMS = ("unbatched", "batched", "N=0", "packed sorted", "packed unsorted")
LENGTHS = {"packed sorted": [5, 3, 1], "packed unsorted": [3, 5, 1]}


def combinations(**fixed: Any) -> Iterator[dict[str, Any]]:
    """Every set of arguments, those in `fixed` held."""
    table = {**ARGUMENTS, **{name: (value,) for name, value in fixed.items()}}
    for values in product(*table.values()):
        yield dict(zip(table, values, strict=True))


def build(kind: type[nn.Module], arguments: dict[str, Any], dtype: torch.dtype) -> Any:
    """The layer with float64 numbers drawn from seed 0, then rounded to `dtype`."""
    torch.manual_seed(0)
    with warnings.catch_warnings():  # dropout does nothing in one layer; both say so
        warnings.simplefilter("ignore", UserWarning)
        rnn = kind(H_IN, H_OUT, dtype=torch.float64, **arguments)
    return rnn.to(dtype)


def make_inputs(
    arguments: dict[str, Any], form: str, with_hx: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """Padded input and hx as leaves: the same numbers for every dtype, up to rounding."""
    torch.manual_seed(1)
    rows = 0 if form == "N=0" else N
    states = arguments["num_layers"] * (2 if arguments["bidirectional"] else 1)
    shape, hx_shape = (L, rows, H_IN), (states, rows, H_OUT)
    if form == "unbatched":
        shape, hx_shape = (L, H_IN), (states, H_OUT)
    elif arguments["batch_first"]:
        shape = (rows, L, H_IN)
    x = torch.randn(shape, dtype=torch.float64).to(dtype)
    hx = torch.randn(hx_shape, dtype=torch.float64).to(dtype)
    return x.requires_grad_(), hx.requires_grad_() if with_hx else None


def keep_signs(rnn: nn.Module, *inputs: Tensor | None) -> None:
    """Make every sum inside a relu layer one of terms of one sign.

    All inputs are positive, and all numbers that go into one unit have that unit's sign; so
    rounding, in whatever dtype and order, cannot flip a unit and with it the derivative.
    """
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            signs = torch.ones(H_OUT, dtype=parameter.dtype)
            signs[int("reverse" in name)] = -1
            parameter.abs_().mul_(signs if parameter.dim() == 1 else signs[:, None])
        for x in inputs:
            if x is not None:
                x.abs_()


def run(rnn: nn.Module, x: Tensor, hx: Tensor | None, form: str) -> dict[str, Tensor]:
    """Outputs and every gradient, by name. Random masks are those of seed 2."""
    torch.manual_seed(2)
    given: Tensor | PackedSequence = x
    if form in LENGTHS:
        given = pack_padded_sequence(
            x, LENGTHS[form], batch_first=rnn.batch_first, enforce_sorted=form == "packed sorted"
        )
    output, h_n = rnn(given, hx)
    results = {"output": output, "h_n": h_n}
    if isinstance(output, PackedSequence):
        results = {"output": output.data, "h_n": h_n, "batch_sizes": output.batch_sizes}
        if output.sorted_indices is not None:
            results["sorted_indices"] = output.sorted_indices
            results["unsorted_indices"] = output.unsorted_indices
        output = output.data
    weigh = [torch.cos(torch.arange(t.numel(), dtype=torch.float64)) for t in (output, h_n)]
    bars = [w.view(t.shape).to(t.dtype) for w, t in zip(weigh, (output, h_n), strict=True)]
    leaves = {"input": x, **({} if hx is None else {"hx": hx}), **dict(rnn.named_parameters())}
    gradients = torch.autograd.grad((output, h_n), list(leaves.values()), bars)
    return {n: t.detach() for n, t in results.items()} | {
        f"{name}.grad": g for name, g in zip(leaves, gradients, strict=True)
    }


def both(
    arguments: dict[str, Any], form: str, with_hx: bool, dtype: torch.dtype = torch.float64
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What elman and what torch give for one case."""
    x, hx = make_inputs(arguments, form, with_hx, dtype)
    theirs = run(build(nn.RNN, arguments, dtype), x, hx, form)
    return run(build(elman.RNN, arguments, dtype), x, hx, form), theirs
