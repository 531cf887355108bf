"""How layers are put together: `Wiring`, what torch.nn.RNN's arguments cannot say of an `RNN`."""

from collections.abc import Sequence
from dataclasses import dataclass

from elman.nn.dynamics import number

MERGES = ("concat", "sum", "mean")


@dataclass(frozen=True)
class Wiring:
    """How the layers of an `elman.RNN` are put together; pass it as `wiring`.

    Args:
        hidden_sizes: H_out of each layer, the lowest first, in the place of `hidden_size` for
            all; `hidden_size` is then the last one's. Default: None, all alike.
        residual: whether a layer's input is added to its output, wherever both are of one
            width. Default: False. (He et al., arXiv 1512.03385.)
        merge: what becomes of two directions: "concat" side by side (D·H_out wide), or their
            "sum" or "mean" (H_out wide). Default: "concat".
        reverse: whether the one direction there is reads from the end. Default: False.
        one_bias: whether b_ih alone is there; two that are added are one too many. Default: False.
        learn_h_0: whether the first state is a parameter, `h_0_l[k]` (D, H_out), where a call
            gives none. Default: False, zeros.
        input_dropout, output_dropout: with which probability a feature of every layer's input,
            or of its output, is zero for a whole sequence while training, in [0, 1); the
            others are scaled up. Default: 0. (Gal and Ghahramani, arXiv 1512.05287.)

    Raises:
        TypeError, ValueError: an argument is of the wrong kind or out of its range.

    >>> import torch
    >>> from elman import RNN
    >>> rnn = RNN(3, 5, 2, wiring=Wiring(hidden_sizes=[8, 5], one_bias=True))
    >>> output, (h_1, h_2) = rnn(torch.randn(7, 2, 3))
    >>> output.shape, h_1.shape, h_2.shape
    (torch.Size([7, 2, 5]), torch.Size([1, 2, 8]), torch.Size([1, 2, 5]))
    """

    hidden_sizes: Sequence[int] | None = None
    residual: bool = False
    merge: str = "concat"
    reverse: bool = False
    one_bias: bool = False
    learn_h_0: bool = False
    input_dropout: float = 0.0
    output_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.hidden_sizes is not None:
            object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
            for size in self.hidden_sizes:
                if isinstance(size, bool) or not isinstance(size, int):
                    raise TypeError(f"hidden_sizes should be ints, got {size!r}")
                if size <= 0:
                    raise ValueError(f"hidden_sizes should be greater than zero, got {size}")
        if self.merge not in MERGES:
            raise ValueError(f"merge should be one of {', '.join(MERGES)}, got {self.merge!r}")
        for name in ("residual", "reverse", "one_bias", "learn_h_0"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} should be a bool, got {getattr(self, name)!r}")
        for name in ("input_dropout", "output_dropout"):
            number(name, getattr(self, name), "in [0, 1)", lambda p: 0 <= p < 1)

    def check(self, num_layers: int, hidden_size: int, bidirectional: bool, bias: bool) -> None:
        """Refuse what does not go with the layer's own arguments."""
        sizes = self.hidden_sizes
        if sizes is not None and (len(sizes) != num_layers or sizes[-1] != hidden_size):
            raise ValueError(
                f"hidden_sizes should have num_layers = {num_layers} sizes, the last of them "
                f"hidden_size = {hidden_size}, got {list(sizes)}"
            )
        if self.reverse and bidirectional:
            raise ValueError("reverse goes with one direction; bidirectional has the other already")
        if self.merge != "concat" and not bidirectional:
            raise ValueError(f"merge={self.merge!r} joins two directions; set bidirectional=True")
        if self.one_bias and not bias:
            raise ValueError("one_bias goes with bias=True, got bias=False")


PLAIN = Wiring()
