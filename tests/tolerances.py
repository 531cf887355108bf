"""How far a result may lie from the truth: the one table of tolerances.

Two rules, and no number found by trying.

`worst`: for two float64 computations of one thing. n roundings, each of at most half an ulp
of `scale`, may all point the same way in both computations: n · eps · scale.

`as_good`: for a computation in low precision, beside a rival in the same precision and the
same thing in float64. Its error may be twice the rival's, and beyond that `few` ulps of the
largest value, since a rival may be right by luck. Independent roundings add up like a walk:
one is uniform in half an ulp either way, with a standard deviation of 1/√12 ulp, and four
standard deviations of n of them are 4·√(n/12) ulps. No more than one element in some ten
thousand walks further, and then the rival has most likely walked as well.
"""

import math

import torch
from torch import Tensor

LOW_PRECISION = [torch.float32, torch.bfloat16, torch.float16]


def largest(x: Tensor) -> float:
    """The largest absolute value; 0 of nothing."""
    return x.detach().abs().max().item() if x.numel() else 0.0


def distance(x: Tensor, y: Tensor) -> float:
    """The largest difference in float64; NaN where only one of them is finite."""
    assert x.shape == y.shape, f"{tuple(x.shape)} is not {tuple(y.shape)}"
    return largest(x.double() - y.double())


def worst(roundings: int, scale: float) -> float:
    """The bound on the difference of two float64 computations."""
    return roundings * torch.finfo(torch.float64).eps * scale


def as_good(
    ours: Tensor, rival: Tensor, truth: Tensor, roundings: int, scale: float
) -> tuple[bool, str]:
    """Whether our error is at most twice the rival's and a few ulps of `scale`."""
    assert ours.dtype == rival.dtype
    assert truth.dtype == torch.float64
    few = 4 * math.sqrt(roundings / 12) * torch.finfo(ours.dtype).eps * scale
    our_error, rival_error = distance(ours, truth), distance(rival, truth)
    says = f"error {our_error:.3g}, the rival's {rival_error:.3g}, a few ulps are {few:.3g}"
    return our_error <= 2 * rival_error + few, says
