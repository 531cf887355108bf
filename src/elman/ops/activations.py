"""The nonlinearities by name: what each does, and its slope told from what it gave.

None of them ever falls, so the slope at z can be told from y = f(z), and z need not be kept. With a
bound b, z is held within ±b first; where y is then at its end, the slope is zero.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

_LEAK = 0.01  # torch's default for leaky_relu
#: Of selu, as torch has them: Klambauer et al., arXiv 1706.02515.
_SCALE, _ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

#: Every nonlinearity, in the order csrc/scan.h numbers them.
NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": torch.clone,
    "sigmoid": torch.sigmoid,
    "hardtanh": functional.hardtanh,
    "hardsigmoid": lambda z: (z + 3).clamp(0, 6) / 6,  # torch's own has 1/6 as a float32
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": functional.selu,
    "softsign": functional.softsign,
    "softplus": functional.softplus,
}

#: The same by the number an operator is told.
NUMBERS = {name: number for number, name in enumerate(NONLINEARITIES)}


#: A name, or a function of one's own, which the plain loop alone serves.
Nonlinearity = str | Callable[[Tensor], Tensor]


def activate(z: Tensor, nonlinearity: Nonlinearity, bound: float | None = None) -> Tensor:
    """f(z), of z held within ±bound where there is one."""
    f = NONLINEARITIES[nonlinearity] if isinstance(nonlinearity, str) else nonlinearity
    return f(z if bound is None else z.clamp(-bound, bound))


def slope(y: Tensor, nonlinearity: str, bound: float | None = None) -> Tensor | None:
    """f'(z) told from y = f(z) alone; None where it is one everywhere.

    >>> y = activate(torch.tensor([-2.0, 0.5]), "hardtanh")
    >>> slope(y, "hardtanh")
    tensor([0., 1.])
    """
    found = _SLOPES[nonlinearity](y)
    if bound is None:
        return found
    ends = activate(y.new_tensor([-bound, bound]), nonlinearity, bound)
    # a kernel's f may round otherwise than torch's; in two bytes what is rounded once hides that
    roundings = 1 if y.dtype.itemsize == 2 else 4
    near = roundings * torch.finfo(y.dtype).eps * ends.abs()
    low, high = ends[0] + near[0], ends[1] - near[1]
    within = _off(y, (y <= low) | (y >= high))
    return within if found is None else within * found


def _off(y: Tensor, where: Tensor) -> Tensor:
    """Zero there and one elsewhere: as torch, so that the gradient of a NaN stays visible."""
    return (~where).to(y.dtype)


_SLOPES: dict[str, Callable[[Tensor], Tensor | None]] = {
    "tanh": lambda y: 1 - y * y,
    "relu": lambda y: _off(y, y <= 0),
    "identity": lambda y: None,
    "sigmoid": lambda y: y - y * y,
    "hardtanh": lambda y: _off(y, (y <= -1) | (y >= 1)),
    "hardsigmoid": lambda y: _off(y, (y <= 0) | (y >= 1)) / 6,
    "leaky_relu": lambda y: torch.where(y > 0, torch.ones_like(y), torch.full_like(y, _LEAK)),
    "elu": lambda y: torch.where(y > 0, torch.ones_like(y), y + 1),
    "selu": lambda y: torch.where(y > 0, torch.full_like(y, _SCALE), y + _SCALE * _ALPHA),
    "softsign": lambda y: (1 - y.abs()) ** 2,
    "softplus": lambda y: -torch.expm1(-y),
}
