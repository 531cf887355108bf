"""What goes into a network and comes out of it, under which names."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

_DTYPES = {"int64": torch.int64, "float32": torch.float32}


@dataclass(frozen=True)
class Port:
    """One tensor.

    Attributes:
        name: in the ONNX file.
        dtype: "int64" or "float32".
        shape: whole numbers, and letters for what may be of any size: N rows, L steps.
        says: what it is, in words.
        most: of whole numbers, the largest there may be: a number, or the letter of a size.
        spread: of other numbers, about how far from zero they lie.
        left_out: what stands everywhere in it where a caller gives none: as `most`.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    says: str
    most: int | str = 0
    spread: float = 1.0
    left_out: int | str = 0

    def default(self, sizes: Mapping[str, int]) -> Tensor:
        """The tensor where none is given, for these sizes of the letters."""
        shape, value = self._at(sizes), _size(self.left_out, sizes)
        return torch.full(shape, value, dtype=_DTYPES[self.dtype], device="cpu")

    def drawn(self, sizes: Mapping[str, int], rng: torch.Generator) -> Tensor:
        """A tensor as it may come, for these sizes of the letters."""
        shape = self._at(sizes)
        if self.dtype == "int64":
            return torch.randint(_size(self.most, sizes) + 1, shape, generator=rng, device="cpu")
        dtype = _DTYPES[self.dtype]
        return self.spread * torch.randn(shape, generator=rng, dtype=dtype, device="cpu")

    def _at(self, sizes: Mapping[str, int]) -> list[int]:
        return [_size(n, sizes) for n in self.shape]

    def __str__(self) -> str:
        """As a person reads it.

        >>> print(Port("lengths", "int64", ("N",), "steps of each row"))
        lengths: int64 (N), steps of each row
        """
        return f"{self.name}: {self.dtype} ({', '.join(map(str, self.shape))}), {self.says}"


@dataclass(frozen=True)
class Ports:
    """All tensors of a network, in the order of its arguments and results."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def _size(size: int | str, sizes: Mapping[str, int]) -> int:
    return sizes[size] if isinstance(size, str) else size


def stateful(x: Port, y: Port, layers: int, hidden_size: int) -> Ports:
    """Those of a network that hands its state on from chunk to chunk."""
    shape = (layers, "N", hidden_size)
    state = Port("state", "float32", shape, "of the chunk before; zeros at the start", spread=0.5)
    after = Port("next_state", "float32", shape, "after the last step")
    return Ports((x, state), (y, after))
