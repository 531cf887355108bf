"""What is measured: the registry of cases, and the ratios that are wanted of them."""

from dataclasses import dataclass, field, replace
from itertools import product

#: Everything but the grid is measured with these two passes.
PASSES = ("forward", "train")


@dataclass(frozen=True)
class Case:
    """One shape, on so many threads.

    Attributes:
        name: unique in the registry.
        N, L, H_in, H: batch, steps, input and hidden features.
        threads: CPU threads of every contestant.
        lengths: steps of each row, (N,), longest first, of a packed case. Default: None, dense.
        num_layers, bidirectional: of the layer. Defaults: 1, False.
        step: one step at a time is measured, forward only: a stream against a cell. L is then
            how many steps the gate looks at. Default: False.
        bars: the ratio wanted, by rival and pass, for example {"torch": {"forward": 2.0}}.
            Default: none.
    """

    name: str
    N: int
    L: int
    H_in: int
    H: int
    threads: int = 1
    lengths: tuple[int, ...] | None = None
    num_layers: int = 1
    bidirectional: bool = False
    step: bool = False
    bars: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def directions(self) -> int:
        """D: two if bidirectional, else one."""
        return 2 if self.bidirectional else 1

    @property
    def passes(self) -> tuple[str, ...]:
        """What is measured of it: "forward", and "train", forward and backward to all weights."""
        return PASSES[:1] if self.step else PASSES

    @property
    def shape(self) -> str:
        """The shape in words.

        >>> CASES["packed"].shape
        'N 32, L 1 to 500, H 128'
        """
        L = f"{self.lengths[-1]} to {self.lengths[0]}" if self.lengths else str(self.L)
        parts = [f"N {self.N}", "one step" if self.step else f"L {L}"]
        parts += [f"H_in {self.H_in}"] * (self.H_in != self.H) + [f"H {self.H}"]
        parts += [f"{self.num_layers} layers"] * (self.num_layers > 1)
        parts += ["both directions"] * self.bidirectional
        return ", ".join(parts)

    def bar(self, rival: str, of: str) -> float | None:
        """The ratio wanted against a rival in a pass; None where none is."""
        return self.bars.get(rival, {}).get(of)

    def on(self, threads: int) -> "Case":
        """The same on so many threads; the bars stand for the number in the registry alone."""
        return self if threads == self.threads else replace(self, threads=threads, bars={})


def _dense(
    name: str, N: int, L: int, H_in: int, H: int, threads: int, forward: float, train: float
) -> Case:
    jax = {"forward": 1.2, "train": 1.2}
    bars = {"torch": {"forward": forward, "train": train}, "jax": jax}
    return Case(name, N, L, H_in, H, threads, bars=bars)


def _against_torch(forward: float, train: float) -> dict[str, dict[str, float]]:
    return {"torch": {"forward": forward, "train": train}}


def spaced(first: int, last: int, count: int) -> tuple[int, ...]:
    """Whole numbers evenly from `last` down to `first`.

    >>> spaced(1, 10, 4)
    (10, 7, 4, 1)
    """
    return tuple(round(last - (last - first) * k / (count - 1)) for k in range(count))


_TABLE = (
    _dense("one-long", 1, 2000, 64, 64, 1, 50, 140),
    _dense("one", 1, 100, 128, 128, 1, 12, 18),
    _dense("small", 32, 100, 10, 32, 2, 14, 15),
    _dense("middle", 32, 128, 128, 128, 2, 5.5, 6.5),
    _dense("pixels", 64, 784, 1, 128, 2, 5.5, 6),
    _dense("wide-long", 32, 512, 256, 256, 2, 3.5, 3.3),
    _dense("encoder", 64, 20, 768, 128, 2, 2.0, 2.2),
    _dense("wide", 128, 100, 512, 512, 2, 1.25, 1.15),
    Case(
        "packed", 32, 500, 128, 128, 2,
        lengths=spaced(1, 500, 32), bars=_against_torch(5, 6),
    ),
    Case(
        "deep", 32, 128, 128, 128, 2,
        num_layers=2, bidirectional=True, bars=_against_torch(5, 6),
    ),
    Case("step", 1, 50, 128, 128, 1, step=True, bars={"torch": {"forward": 30}}),
)  # fmt: skip

#: The table, by name.
CASES = {case.name: case for case in _TABLE}

#: What a user measures in half a minute.
SHORT = ("one", "small", "middle")


def grid(threads: int = 1) -> list[Case]:
    """Every shape of a grid, H_in = H: nowhere should elman be slower than torch.nn.RNN."""
    bars = _against_torch(1, 1)
    return [
        Case(f"grid-{N}-{L}-{H}", N, L, H, H, threads, bars=bars)
        for N, L, H in product(
            (1, 2, 8, 33, 128), (1, 7, 100, 1000), (1, 17, 64, 250, 1024)
        )
    ]  # fmt: skip
