"""f of a network, by name or a function of one's own: its name, its values and its slopes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from elman.ops.activations import Nonlinearity, activate

#: Slopes told from z where the way through y would lose their digits far out.
_EXACT: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda z: z.cosh().square().reciprocal(),
    "sigmoid": lambda z: z.sigmoid() * (-z).sigmoid(),
}
#: The largest slope of those whose is not 1. (selu: its scale times its alpha, just below zero.)
_STEEPEST = {"sigmoid": 0.25, "hardsigmoid": 1 / 6, "selu": 1.7580993408473766}
#: Where the largest slope of a function of one's own is looked for.
_GRID = torch.linspace(-10, 10, 2001, dtype=torch.float64, device="cpu")
#: Two backward passes through one function agree to their rounding; one that mixes units does not.
_ROUNDING = 1e-4
#: Numbers in all Jacobians of a function that mixes units, at most: 1.6 GB.
_MOST = 200_000_000


class Slopes(NamedTuple):
    """Of f at each z.

    Attributes:
        own: ∂f_i/∂z_i, in the shape of z.
        mixing: ∂f_i/∂z_j, (..., H, H), where f of a unit hangs on other units; else None.
    """

    own: Tensor
    mixing: Tensor | None


@dataclass(frozen=True, eq=False)
class Function:
    """What a network squashes its sums by.

    Attributes:
        of: one of `elman.ops.NONLINEARITIES`, or a function.
        dtype, device: in which a function of one's own is called, as the network does it.

    >>> Function("relu").slopes(torch.tensor([-1.0, 2.0])).own
    tensor([0., 1.])
    >>> def cubed(z): return z ** 3
    >>> f = Function(cubed)
    >>> f.name, f.slopes(torch.tensor([[1.0, 2.0]], dtype=torch.float64)).own.tolist()
    ('cubed', [[3.0, 12.0]])
    """

    of: Nonlinearity
    dtype: torch.dtype = torch.float32
    device: torch.device | str = "cpu"

    @property
    def own(self) -> bool:
        """Whether it is a function of the user's own."""
        return not isinstance(self.of, str)

    @property
    def name(self) -> str:
        """As people call it."""
        if isinstance(self.of, str):
            return self.of
        if isinstance(self.of, nn.Module):
            return type(self.of).__name__
        name = str(getattr(self.of, "__name__", type(self.of).__name__))
        return "f" if name == "<lambda>" else name

    def values(self, z: Tensor, bound: float | None = None) -> Tensor:
        """f(z), of z held within ±bound."""
        with torch.no_grad():
            return activate(self._as_called(z), self.of, bound).to(z)

    def slopes(self, z: Tensor, bound: float | None = None) -> Slopes:
        """f'(z); zero where the bound holds z.

        Args:
            z: (..., H).
            bound: what z is held within before f. Default: None, nothing.

        Raises:
            ValueError: a function of one's own has no gradient, or it mixes so many units over so
                many steps that their Jacobians do not fit.
        """
        if isinstance(self.of, str) and self.of in _EXACT:
            slope = _EXACT[self.of](z)
            return Slopes(slope if bound is None else slope * (z.abs() < bound), None)
        with torch.inference_mode(False), torch.enable_grad():
            at = self._as_called(z).detach().clone().requires_grad_()
            y = activate(at, self.of, bound)
            if not y.requires_grad:
                raise ValueError(f"{self.name} gives nothing that torch can differentiate")
            (slope,) = torch.autograd.grad(y.sum(), at, retain_graph=True)
            if not self.own:
                return Slopes(slope.to(z), None)
            rng = torch.Generator().manual_seed(0)
            weights = torch.randn(y.shape, generator=rng).to(y)
            (weighed,) = torch.autograd.grad((weights * y).sum(), at, retain_graph=True)
            off = (weighed - weights * slope).abs()
            if not z.numel() or not (off > _ROUNDING * weighed.abs().max()).any():
                return Slopes(slope.to(z), None)
            if z.numel() * z.shape[-1] > _MOST:
                raise ValueError(
                    f"{self.name} mixes {z.shape[-1]} units, and its Jacobians at all steps do not "
                    "fit; give fewer steps or rows"
                )
            rows = [
                torch.autograd.grad(y[..., i].sum(), at, retain_graph=True)[0]
                for i in range(z.shape[-1])
            ]
        mixing = torch.stack(rows, -2).to(z)
        return Slopes(mixing.diagonal(dim1=-2, dim2=-1), mixing)

    @cached_property
    def _steepest_known(self) -> float | None:
        return None if self.own else _STEEPEST.get(str(self.of), 1.0)

    def steepest(self, seen: Slopes) -> float:
        """The largest |slope| that f has anywhere.

        Of a function of one's own: between -10 and 10, in hundredths, and where it was seen; of
        one that mixes units, where it was seen.
        """
        if self._steepest_known is not None:
            return self._steepest_known
        most = float(seen.own.abs().max()) if seen.own.numel() else 0.0
        if seen.mixing is None:
            grid = _GRID[:, None].expand(-1, seen.own.shape[-1])
            most = max(most, float(self.slopes(grid).own.abs().max()))
        return most

    def _as_called(self, z: Tensor) -> Tensor:
        return z.to(self.device, self.dtype) if self.own else z
