"""What W_hh is held to: `constrain` puts a parametrization of torch on every recurrent weight.

Beside torch's own "orthogonal" there are here those that torch has not: `Bounded`, `Integrator`,
`Mask`, `Dale` and `DropConnect`. Each is a plain module from a weight (H, H), in (out, in) order,
to the weight that is used, for torch.nn.utils.parametrize; so state_dict, deepcopy,
functional_call and `parametrize.remove_parametrizations` are torch's.
"""

import copy
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize

from elman.nn.clipping import clip_singular_values
from elman.nn.recurrent import places

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def constrain(module: AnyModule, how: str | nn.Module) -> AnyModule:
    """Hold every W_hh in `module` to a form, by a parametrization of its own.

    Called again, it puts the next one on top: W = second(first(V)).

    Args:
        module: an `elman.RNN`, an `elman.RNNCell`, or anything that has some in it. Changed in
            place.
        how: "orthogonal", which is torch.nn.utils.parametrizations.orthogonal, or a `Bounded`,
            `Integrator`, `Mask`, `Dale`, `DropConnect` or parametrization of your own, of which
            each weight gets a copy.

    Returns:
        `module`.

    Raises:
        ValueError: `how` is unknown, the form does not fit a weight's shape, or there is no
            recurrent layer in `module`.
        TypeError: `how` is neither a string nor a module.

    >>> import elman
    >>> rnn = constrain(elman.RNN(3, 4, bidirectional=True), "orthogonal")
    >>> W = rnn.weight_hh_l0_reverse
    >>> bool(torch.allclose(W @ W.T, torch.eye(4), atol=1e-5))
    True
    >>> rnn = constrain(constrain(elman.RNN(3, 4), Dale(0.5)), DropConnect(0.3))
    >>> rnn.eval().weight_hh_l0[0].sign().tolist()
    [1.0, 1.0, -1.0, -1.0]
    """
    if isinstance(how, str):
        if how != "orthogonal":
            raise ValueError(f"how should be 'orthogonal' or a parametrization, got {how!r}")
    elif not isinstance(how, nn.Module):
        raise TypeError(
            "how should be 'orthogonal' or a parametrization such as Bounded(1.0), got "
            f"{how if isinstance(how, type) else type(how)}"
        )
    for place in places(module):
        if isinstance(how, str):
            parametrizations.orthogonal(place.module, place.weight)
        else:
            parametrize.register_parametrization(place.module, place.weight, copy.deepcopy(how))
    return module


class Bounded(nn.Module):
    r"""Keeps the spectral norm within `limit`: no step can stretch a difference by more.

        W = U min(S, c) Vᵀ   where U S Vᵀ is the singular value decomposition of the parameter

    It is the nearest matrix, in the Frobenius norm, whose spectral norm is at most c. With c ≤ 1
    and tanh, relu or identity, |h_t - h'_t| ≤ c |h_{t-1} - h'_{t-1}|: neither states nor
    gradients can grow with the number of steps, and directions with s = 1 need not fade. The
    decomposition is exact at each reading, and so is the bound, but for rounding: the norm is at
    most c (1 + 4 H eps). It costs one SVD of (H, H) a call, and a few products in backward, where
    equal singular values, as of the identity, are no trouble. First derivatives only.

    Args:
        limit: c > 0. Default: 1.

    Raises:
        ValueError: limit is not a positive finite number.

    Source: the projection is that of Sedghi, Gupta, Long, The Singular Values of Convolutional
    Layers (2019, arXiv 1805.10408); the bound on gradients: Pascanu, Mikolov, Bengio
    (2013, arXiv 1211.5063).

    >>> Bounded(1.0)(torch.diag(torch.tensor([3.0, 0.5]))).diagonal()
    tensor([1.0000, 0.5000])
    """

    def __init__(self, limit: float = 1.0) -> None:
        super().__init__()
        if not (math.isfinite(limit) and limit > 0):
            raise ValueError(f"limit should be a positive number, got {limit!r}")
        self.limit = float(limit)

    def forward(self, weight: Tensor) -> Tensor:
        """The nearest weight within the norm."""
        return clip_singular_values(weight, self.limit)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What to begin from to have `weight`, or the nearest there can be."""
        return self.forward(weight)

    def extra_repr(self) -> str:
        """The limit."""
        return f"limit={self.limit}"


class Integrator(nn.Module):
    r"""Lets half of the units keep what they are given for ever, and the other half learn freely.

        W = [[R, 0], [E, I]]    R, E as in the parameter; I and 0 are fixed

    The readers, the first H // 2 units, are a layer of their own, with any W_hh they learn. The
    keepers add up what E takes from the readers, and no error on the way can make them fade or
    grow: the gradient into a keeper is the same at all steps. Eigenvalues are those of R, and 1.
    Made for relu, with the preset "integrator" of `elman.nn.init_recurrent` to begin from;
    `elman.nn.long_memory` does both.

    Source: the fixed block is the constant error carousel of Hochreiter, Schmidhuber, Long
    Short-Term Memory (1997), without gates; fixed parts of a W_hh as in Song, Yang, Wang (2016).

    >>> Integrator()(torch.full((4, 4), 7.0))
    tensor([[7., 7., 0., 0.],
            [7., 7., 0., 0.],
            [7., 7., 1., 0.],
            [7., 7., 0., 1.]])
    """

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with the keepers' columns those of the identity."""
        H = weight.shape[1]
        fixed = torch.eye(H, dtype=weight.dtype, device=weight.device)
        return torch.where(torch.arange(H, device=weight.device) < H // 2, weight, fixed)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What to begin from to have `weight` in the readers' columns."""
        return self.forward(weight)


class Mask(nn.Module):
    """Fixes which unit hears which: W = M ⊙ V, and what is 0 in M stays 0, and learns nothing.

    Args:
        mask: M, (H, H), M[i, j] whether unit i hears unit j; bool, or numbers 0 and 1.

    Raises:
        ValueError: mask is not 2-D or holds other numbers, or the weight has another shape.

    Source: Song, Yang, Wang, Training Excitatory-Inhibitory Recurrent Neural Networks for
    Cognitive Tasks, PLoS Computational Biology 12 (2016), doi 10.1371/journal.pcbi.1004792.

    >>> Mask(torch.eye(2))(torch.full((2, 2), 7.0))
    tensor([[7., 0.],
            [0., 7.]])
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        mask = torch.as_tensor(mask)
        if mask.dim() != 2:
            raise ValueError(f"mask should be (H, H), got {tuple(mask.shape)}")
        if not ((mask == 0) | (mask == 1)).all():
            raise ValueError("mask should be bool, or hold 0 and 1 only")
        self.register_buffer("mask", mask.bool())

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its zeros."""
        if weight.shape != self.mask.shape:
            raise ValueError(
                f"mask should be {tuple(weight.shape)} as the weight is, got "
                f"{tuple(self.mask.shape)}"
            )
        return torch.where(self.mask, weight, weight.new_zeros(()))

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What to begin from to have `weight` where the mask is 1."""
        return self.forward(weight)


class Dale(nn.Module):
    r"""Dale's law: all that a unit sends on has one sign, so each column of W_hh has one.

        W[i, j] = s_j |V[i, j]|   with s_j = 1 of an excitatory unit j and -1 of an inhibitory one

    Song et al. rectify V, which leaves a weight at 0 once it is there without a gradient; the
    absolute value does not. Weights that had the other sign before are mirrored. The law concerns
    what goes through W_hh; for the units' outputs to keep their sign too, use relu.

    Args:
        excitatory: the share of excitatory units, the first round(share · H) of all; or a sign
            for each unit, (H,), 1 or -1. Default: 0.8.

    Raises:
        ValueError: the share is not in [0, 1], a sign is neither 1 nor -1, or the weight has
            another number of columns.

    Source: Song, Yang, Wang, Training Excitatory-Inhibitory Recurrent Neural Networks for
    Cognitive Tasks, PLoS Computational Biology 12 (2016), doi 10.1371/journal.pcbi.1004792.

    >>> Dale([1, -1])(torch.tensor([[1.0, 2.0], [-3.0, 4.0]]))
    tensor([[ 1., -2.],
            [ 3., -4.]])
    """

    signs: Tensor | None

    def __init__(self, excitatory: float | Sequence[int] | Tensor = 0.8) -> None:
        super().__init__()
        signs = torch.as_tensor(excitatory)
        self.share: float | None = None
        if signs.dim() == 0:
            self.share = float(signs)
            if not 0 <= self.share <= 1:
                raise ValueError(f"excitatory should be a share in [0, 1], got {self.share}")
        elif signs.dim() != 1 or not (signs.abs() == 1).all():
            raise ValueError("excitatory should be a share, or (H,) signs of 1 and -1")
        # small integers: what makes the module double or half leaves them alone
        self.register_buffer("signs", None if signs.dim() == 0 else signs.to(torch.int8))

    def signs_of(self, weight: Tensor) -> Tensor:
        """The sign of each unit, (H,)."""
        H = weight.shape[1]
        if self.signs is None:
            assert self.share is not None
            excitatory = torch.arange(H, device=weight.device) < round(self.share * H)
            return torch.where(excitatory, 1, -1)
        if self.signs.shape != (H,):
            raise ValueError(
                f"excitatory should have a sign for each of {H} units, got {len(self.signs)}"
            )
        return self.signs

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with a sign for each column."""
        return weight.abs() * self.signs_of(weight)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What to begin from to have `weight`, its wrong signs mirrored."""
        self.signs_of(weight)
        return weight.abs()

    def extra_repr(self) -> str:
        """The share, where there is one."""
        return "" if self.share is None else f"excitatory={self.share}"


class DropConnect(nn.Module):
    r"""While training, takes each recurrent connection away with probability p, for one call.

        W = M ⊙ V / (1 - p),   M[i, j] drawn anew as 0 with probability p, else 1

    The mask is one for all rows and all time steps of a call, from torch's generator: the same
    seed, the same masks. In eval() nothing is taken away. `elman.RNN` reads each weight once a
    call; `elman.RNNCell` once a step, unless the steps lie within
    `torch.nn.utils.parametrize.cached()`. It belongs on top of other parametrizations.

    Args:
        p: probability, in [0, 1). Default: 0.5.

    Raises:
        ValueError: p is not in [0, 1).

    Source: Wan et al., Regularization of Neural Networks using DropConnect (ICML 2013), on W_hh
    as in Merity, Keskar, Socher, Regularizing and Optimizing LSTM Language Models (2017, arXiv
    1708.02182).

    >>> DropConnect(0.5)(torch.ones(2, 50)).unique().tolist()
    [0.0, 2.0]
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p should be a probability in [0, 1), got {p!r}")
        self.p = float(p)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with connections gone, while training."""
        return functional.dropout(weight, self.p, self.training)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The weight itself."""
        return weight

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
