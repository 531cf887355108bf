"""Singular values clipped at a limit, and the derivative of that, ties among them included.

torch.linalg.svd has a derivative only where all singular values differ. The identity's do not.
But clipping is U f(S) Vᵀ with f(s) = min(s, c), and such a function of a matrix has one as soon
as f has: with Ẋ' = Uᵀ Ẋ V in the basis of the singular vectors, of which sym and skew are the
symmetric and the antisymmetric half,

    U [ (f(s_i) - f(s_j)) / (s_i - s_j) ⊙ sym(Ẋ') + (f(s_i) + f(s_j)) / (s_i + s_j) ⊙ skew(Ẋ') ] Vᵀ

where the first quotient of equal values is f'(s) and the second of zeros f'(0). The map is its
own adjoint, so it serves both ways. Source: Daleckii and Krein (1965), as in Higham, Functions of
Matrices (2008), chapter 3, for [[0, X], [Xᵀ, 0]].
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def clip_singular_values(x: Tensor, limit: float) -> Tensor:
    """The nearest matrix to x with no singular value above `limit`.

    Args:
        x: (..., H, H).
        limit: c > 0.

    Returns:
        (..., H, H); x itself, to the last bit, where nothing is above the limit. First
        derivatives, in reverse and forward mode, and under vmap; at s = c that of smaller s.

    >>> clip_singular_values(torch.tensor([[0.0, 3.0], [1.0, 0.0]]), 2.0)
    tensor([[0., 2.],
            [1., 0.]])
    """
    wide = x if x.dtype in (torch.float32, torch.float64) else x.float()  # no SVD in half
    clip = _Compiled if torch.compiler.is_compiling() else _Clip
    clipped: Tensor = clip.apply(wide, limit)[0]
    return clipped.to(x.dtype)


class _Compiled(torch.autograd.Function):
    """For torch.compile, which takes no function with a forward mode of its own."""

    @staticmethod
    def forward(x: Tensor, limit: float) -> tuple[Tensor, ...]:
        """The clipped matrix and the decomposition, which is for the derivative alone."""
        U, values, Vh = torch.linalg.svd(x)
        over = (values - limit).clamp_min(0)[..., None, :]
        above = over.amax(-1, keepdim=True) > 0
        # less what is too much, rather than U f(S) Vᵀ: what is within rounds nowhere
        return torch.where(above, x - (U * over) @ Vh, x), U, values, Vh

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep the decomposition."""
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:])
        ctx.limit = inputs[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, bar: Tensor, *_: Any) -> tuple[Tensor, None]:
        """The derivative is its own adjoint."""
        return _derivative(bar, ctx.saved_tensors, ctx.limit), None


class _Clip(_Compiled):
    """For all else."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep the decomposition, for forward mode too."""
        _Compiled.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*output[1:])

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Any) -> tuple[Tensor, None, None, None]:
        """The derivative in a direction."""
        return _derivative(tangent, ctx.saved_tensors, ctx.limit), None, None, None


def _derivative(direction: Tensor, parts: tuple[Tensor, ...], limit: float) -> Tensor:
    U, values, Vh = parts
    row, column = values[..., :, None], values[..., None, :]
    within = (row <= limit) & (column <= limit)
    above = (row > limit) & (column > limit)
    # of one within and one above: (f(s_i) - f(s_j)) / (s_i - s_j), not of two alike
    low, high = torch.minimum(row, column), torch.maximum(row, column)
    gap = torch.where(within | above, torch.ones_like(low), high - low)
    across = torch.where(within, 1.0, torch.where(above, 0.0, (limit - low) / gap))
    total = torch.where(within, torch.ones_like(low), row + column)
    around = torch.where(within, 1.0, (row.clamp_max(limit) + column.clamp_max(limit)) / total)
    inner = U.mT @ direction @ Vh.mT
    turned = inner.mT
    inner = across * (inner + turned) / 2 + around * (inner - turned) / 2
    return U @ inner @ Vh
