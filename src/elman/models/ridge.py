"""Least squares with a ridge, from as many rows as there are, in the memory of a square."""

import math

import torch
from torch import Tensor


class Ridge:
    r"""W = argmin Σ |y - W z|² + ridge |W|², over rows that come block by block.

    Kept is R of the QR decomposition of all rows [z, y] so far, with √ridge I above them. ZᵀZ,
    whose condition number is the square of that of Z, is not formed; the largest error is of the
    order of eps times the condition number of Z, at most |Z| / √ridge.

    Args:
        size: K, of z.
        outputs: F, of y.
        ridge: at least 0.
        device: of the rows.

    Source: Golub and Van Loan, Matrix Computations, 4th edition, sections 5.3 and 6.1.4.

    >>> z = torch.randn(20, 3, dtype=torch.float64)
    >>> ridge = Ridge(3, 1, 0.0, z.device)
    >>> ridge.add(z, z @ torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64))
    >>> [round(w, 6) for w in ridge.solve()[0].tolist()]
    [1.0, 2.0, 3.0]
    """

    def __init__(self, size: int, outputs: int, ridge: float, device: torch.device) -> None:
        self._R = torch.zeros(size, size + outputs, dtype=torch.float64, device=device)
        self._R.fill_diagonal_(math.sqrt(ridge))
        self._size = size
        self.rows = 0  #: that were added

    def add(self, z: Tensor, y: Tensor) -> None:
        """Rows (n, K) and (n, F); best some times as many as K at once."""
        rows = torch.cat([z.double(), y.double()], 1)
        self.rows += len(rows)
        self._R = torch.linalg.qr(torch.cat([self._R, rows]), mode="r").R

    def solve(self) -> Tensor:
        """W, (F, K) in float64.

        Raises:
            ValueError: a row was not finite, or without a ridge many W are as good.
        """
        triangle, given = self._R[: self._size, : self._size], self._R[: self._size, self._size :]
        if not bool(self._R.isfinite().all()):
            raise ValueError("x and y should be finite, got NaN or inf within the steps to fit to")
        pivots = triangle.diagonal().abs()
        if bool(pivots.min() <= self._size * torch.finfo(torch.float64).eps * pivots.max()):
            raise ValueError(
                "the states are collinear or too few, so that no read-out is best; give a larger "
                "ridge, such as 1e-6"
            )
        return torch.linalg.solve_triangular(triangle, given, upper=True).mT.contiguous()
