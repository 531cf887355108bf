"""Layer normalisation inside the recurrence: what f sees has mean and spread of its own choosing.

    y_t = f(γ ⊙ (z_t - mean) / √(variance + eps) + β)

Mean and variance (of all H, not H - 1) are over the units of each row z_t = a_t + (q_t ⊙ h') Wᵀ.
Source: Ba, Kiros and Hinton, Layer Normalization, arXiv 1607.06450 (2016), equation 4.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional


class Norm(NamedTuple):
    """Of one direction: γ and β, (H,) each, and what keeps the root from zero."""

    weight: Tensor
    bias: Tensor
    eps: float = 1e-5


def normalised(z: Tensor, norm: Norm) -> Tensor:
    """γ ⊙ (z - mean) / √(variance + eps) + β over the last dimension.

    >>> import torch
    >>> normalised(torch.tensor([1.0, 3.0]), Norm(torch.ones(2), torch.zeros(2), 0.0))
    tensor([-1.,  1.])
    """
    return functional.layer_norm(z, z.shape[-1:], norm.weight, norm.bias, norm.eps)


def evened(bar: Tensor, even: Tensor, scale: Tensor) -> Tensor:
    """The gradient of z from that of ẑ, where `even` is ẑ and `scale` its 1 / √(variance + eps)."""
    along = (bar * even).mean(-1, keepdim=True)
    return scale * (bar - bar.mean(-1, keepdim=True) - even * along)


def check_norms(norms: Sequence[Norm], x: Tensor, D: int, H: int) -> None:
    """Types and shapes.

    Raises:
        TypeError: a weight or bias is no tensor of the input's dtype.
        ValueError: there is not one norm for each direction, a shape or device does not fit, or
            eps is not above zero and the same for all.
    """
    if len(norms) != D:
        raise ValueError(f"norms should be one for each of {D} directions, got {len(norms)}")
    for norm in norms:
        for name, t in (("weight", norm.weight), ("bias", norm.bias)):
            if not isinstance(t, Tensor) or t.dtype != x.dtype:
                got = t.dtype if isinstance(t, Tensor) else type(t).__name__
                raise TypeError(f"a norm's {name} should be a Tensor of {x.dtype}, got {got}")
            if tuple(t.shape) != (H,) or t.device != x.device:
                raise ValueError(
                    f"a norm's {name} should be ({H},) on {x.device}, "
                    f"got {tuple(t.shape)} on {t.device}"
                )
        if not norm.eps > 0 or norm.eps != norms[0].eps:
            raise ValueError(f"eps should be above zero and one for all norms, got {norm.eps}")
