"""What a step does besides: `Dynamics`, one description for every layer of an `RNN`.

    h_t = (1 - g_t) ⊙ h_{t-1} + g_t ⊙ f(z_t)        z_t = x_t W_ihᵀ + b + (q_t ⊙ h_{t-1}) W_hhᵀ

Each part of it is a gate g, a factor q or something about z, so that the scan between gates runs
them all; docs/recurrence.md has every one with its equation, a plot and the paper it comes from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from elman.nn.masks import kept, scaled_mask
from elman.ops import Gates

if TYPE_CHECKING:
    from elman.nn.rnn import RNN


@dataclass(frozen=True)
class Dynamics:
    """What a step of an `elman.RNN` does besides; pass it as `dynamics`.

    Args:
        leak: α, how much of a unit is new at each step, in (0, 1]: g = α. A number, or one for
            each unit. Step length over time constant, Δt/τ, for those who simulate neurons.
            Default: 1, no leak. (Jaeger et al., Neural Networks 20 (2007).)
        learn_leak: whether every unit's leak is a parameter, `leak_logit_l[k]` (H_out,), its
            sigmoid the leak; then `leak`, below 1, is where it begins. Default: False.
        zoneout: with which probability a unit keeps its old state at a step, in [0, 1): in
            training drawn for each unit and step, else in the mean. Default: 0.
            (Krueger et al., arXiv 1606.01305.)
        recurrent_dropout: with which probability a unit's state is hidden from all others
            through W_hh, in [0, 1): in training, one mask for a whole sequence, the others
            scaled up. Default: 0. (Gal and Ghahramani, arXiv 1512.05287; its form in the
            product alone: Semeniuta et al., arXiv 1603.05118.)
        noise: σ, the standard deviation of normal noise added to z at each step, in training
            only. Default: 0. (Song et al., PLoS Computational Biology 12 (2016), where it is
            √(2/α) σ_rec.)
        clip: z is held within ±clip. Default: None. (ONNX's RNN has it.)
        layer_norm: whether z is normalised over the units before f, with parameters
            `norm_weight_l[k]` and `norm_bias_l[k]` (H_out,). Default: False.
            (Ba et al., arXiv 1607.06450.)

    Raises:
        TypeError, ValueError: a number is none, or out of its range.

    >>> from elman import RNN
    >>> rnn = RNN(3, 5, dynamics=Dynamics(leak=0.2, zoneout=0.1))
    >>> output, h_n = rnn(torch.randn(7, 2, 3))
    >>> output.shape
    torch.Size([7, 2, 5])
    """

    leak: float | Sequence[float] = 1.0
    learn_leak: bool = False
    zoneout: float = 0.0
    recurrent_dropout: float = 0.0
    noise: float = 0.0
    clip: float | None = None
    layer_norm: bool = False

    def __post_init__(self) -> None:
        for name in ("leak", "zoneout", "recurrent_dropout", "noise", "clip"):
            value: Any = getattr(self, name)
            if hasattr(value, "tolist"):  # of a tensor, an array or a number of NumPy's
                value = value.tolist()
            if name == "leak" and isinstance(value, Sequence) and not isinstance(value, str):
                value = tuple(value)
            object.__setattr__(self, name, value)
        for leak in self.leak if isinstance(self.leak, tuple) else (self.leak,):
            number("leak", leak, "in (0, 1]", lambda a: 0 < a <= 1)
            if self.learn_leak and leak == 1:
                raise ValueError("leak should be below 1 where it is learned, got 1; try 0.5")
        for name in ("zoneout", "recurrent_dropout"):
            number(name, getattr(self, name), "in [0, 1)", lambda p: 0 <= p < 1)
        number("noise", self.noise, "at least 0", lambda s: s >= 0)
        if self.clip is not None:
            number("clip", self.clip, "above 0", lambda c: 0 < c < float("inf"))
        for name in ("learn_leak", "layer_norm"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} should be a bool, got {getattr(self, name)!r}")

    @property
    def plain_in_eval(self) -> bool:
        """Whether nothing of it is left without training."""
        return self.leak == 1 and not (self.zoneout or self.layer_norm) and self.clip is None

    def create(
        self, rnn: "RNN", suffix: str, H: int, device: Any, dtype: torch.dtype | None
    ) -> None:
        """Register what one layer and direction needs of its own, of `H` units."""
        if isinstance(self.leak, tuple) and len(self.leak) != H:
            raise ValueError(f"leak should have a number for each of {H} units, got {self.leak}")
        dtype = torch.get_default_dtype() if dtype is None else dtype  # of a leak of integers too
        leak = torch.as_tensor(self.leak, device=device, dtype=dtype).expand(H)
        if self.learn_leak:
            rnn.register_parameter(f"leak_logit{suffix}", nn.Parameter(leak.logit()))
        elif isinstance(self.leak, tuple):
            rnn.register_buffer(f"leak{suffix}", leak.clone())
        if self.layer_norm:
            for name, value in (("norm_weight", 1.0), ("norm_bias", 0.0)):
                full = torch.full((H,), value, device=device, dtype=dtype)
                rnn.register_parameter(f"{name}{suffix}", nn.Parameter(full))

    def reset(self, rnn: "RNN", suffix: str) -> None:
        """Put what `create` registered to where it begins."""
        with torch.no_grad():
            if self.learn_leak:
                logit = getattr(rnn, f"leak_logit{suffix}")
                leak = torch.as_tensor(self.leak, device=logit.device, dtype=logit.dtype)
                logit.copy_(leak.expand_as(logit).logit())
            elif isinstance(self.leak, tuple):
                given = getattr(rnn, f"leak{suffix}")
                given.copy_(torch.as_tensor(self.leak, device=given.device, dtype=given.dtype))
            if self.layer_norm:
                getattr(rnn, f"norm_weight{suffix}").fill_(1)
                getattr(rnn, f"norm_bias{suffix}").zero_()

    def names(self, suffix: str) -> list[str]:
        """What `create` registered for one layer and direction."""
        names = []
        if self.learn_leak:
            names.append(f"leak_logit{suffix}")
        elif isinstance(self.leak, tuple):
            names.append(f"leak{suffix}")
        if self.layer_norm:
            names += [f"norm_weight{suffix}", f"norm_bias{suffix}"]
        return names

    def leak_of(self, tensors: dict[str, Tensor], suffix: str, x: Tensor) -> Tensor | None:
        """α of one layer and direction, (1, 1, H) or (1, 1, 1); None where there is none."""
        if self.learn_leak:
            return tensors[f"leak_logit{suffix}"].sigmoid().view(1, 1, -1)
        if not isinstance(self.leak, (int, float)):
            return tensors[f"leak{suffix}"].view(1, 1, -1)
        return None if self.leak == 1 else x.new_full((1, 1, 1), self.leak)

    def gates(
        self, tensors: dict[str, Tensor], suffix: str, x: Tensor, call: "Call", training: bool
    ) -> Gates:
        """The gates of one layer and direction in one call."""
        g = self.leak_of(tensors, suffix, x)
        if self.zoneout and training:
            new = kept((*x.shape[:-1], call.H), self.zoneout, x.device)
            g = new if g is None else new * _beside(g, new)
        elif self.zoneout:
            taken = 1 - self.zoneout  # in the mean
            g = x.new_full((1, 1, 1), taken) if g is None else taken * g
        if call.present is not None:
            g = call.present if g is None else _beside(g, call.present) * call.present
        return Gates(g=g, q=call.inside, r=call.left)


class Call(NamedTuple):
    """What one call asks of one layer and direction.

    Attributes:
        H: units.
        present: whether there is a step and no gap, bools (L, N, 1) or packed (rows, 1).
        left: false where a state is reset before the step, in the same shape.
        inside: the mask of recurrent dropout, (1, N, H).
    """

    H: int
    present: Tensor | None
    left: Tensor | None
    inside: Tensor | None


def hidden(dynamics: Dynamics, N: int, H: int, x: Tensor) -> Tensor | None:
    """The mask of recurrent dropout for one sequence, (1, N, H)."""
    if not dynamics.recurrent_dropout:
        return None
    return scaled_mask((1, N, H), dynamics.recurrent_dropout, x)


def _beside(g: Tensor, other: Tensor) -> Tensor:
    """A gate that is the same at every step and row, in the rank of the other."""
    return g.view(1, -1) if other.dim() < g.dim() else g


def number(name: str, value: object, range_: str, within: Callable[[float], bool]) -> None:
    """Refuse what is no number or out of range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} should be a number {range_}, got {value!r}")
    if not within(value):
        raise ValueError(f"{name} should be {range_}, got {value!r}")


#: A step as torch.nn.RNN has it.
NOTHING = Dynamics()
