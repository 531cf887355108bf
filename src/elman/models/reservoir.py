"""A network of which only the read-out learns: `Reservoir`, a leaky echo-state network."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from elman.models.ridge import Ridge
from elman.nn import RNN, Dynamics, Wiring
from elman.nn.dynamics import number
from elman.nn.lengths import Lengths, as_lengths, check_lengths

_BLOCK = 4  # times as many rows as columns: a QR of that shape does the least for its result


class Reservoir(nn.Module):
    r"""A leaky echo-state network: random recurrent weights, and a read-out by ridge regression.

        h_t = (1 - α) h_{t-1} + α tanh(W_in x_t + b + W h_{t-1})
        y_t = W_out [1, x_t, h_t]

    W_in and b are uniform in ±input_scale. W has a `density` of its entries, which are normal, and
    a spectral radius of `spectral_radius`. None of them trains. W_out is what least squares says:

        W_out = argmin Σ_t |y_t - W_out z_t|² + ridge |W_out|²        z_t = [1, x_t, h_t]

    found in float64 by a QR decomposition (`elman.models.ridge.Ridge`): the states of a reservoir
    are near to collinear, and the normal equations would square their condition number.

    Args:
        input_size: H_in, features of x at each step.
        units: H, of the reservoir. Default: 300.
        leak: α in (0, 1], one for all units or one for each; the smaller, the slower.
            Default: 0.3.
        spectral_radius: the largest |eigenvalue| of W, at least 0: how long what was read goes on
            echoing. Default: 0.9.
        input_scale: the largest weight of an input, above 0. Default: 1.
        density: the share of units that a unit hears, in (0, 1]. Default: 0.1.
        ridge: at least 0, of the read-out. Default: 1e-6.
        washout: steps at the beginning of each row that the read-out is not fitted to, since the
            states still tell of the zeros that they began from. Default: 100.
        seed: of the weights; torch's own generator is left as it is. Default: 0.
        batch_first: whether x and y are (N, L, ...) instead of (L, N, ...). Default: False.
        dtype: of the weights and states. Default: torch's.

    Raises:
        TypeError, ValueError: an argument is of the wrong kind or out of its range; or so few
            weights are left that W has no cycle, and so no spectral radius to scale.

    Attributes:
        rnn: the `elman.RNN` with `Dynamics(leak=...)`.
        readout: W_out, (F, 1 + H_in + H) in float64; None before `fit`. It is in the state_dict.
        state: (1, N, H) or (1, H), where the last call ended; None at the beginning. May be set.
            It is not in the state_dict.

    Source: Jaeger, The "echo state" approach to analysing and training recurrent neural networks,
    GMD report 148 (2001); Lukoševičius, A Practical Guide to Applying Echo State Networks (2012),
    equations 2 to 9.

    >>> wave = torch.sin(torch.arange(600) / 5)[:, None]  # (L, 1)
    >>> model = Reservoir(1, units=50).fit(wave[:500], wave[1:501])
    >>> y = model.predict(wave[500:599], carry=True)
    >>> bool((y - wave[501:]).abs().max() < 1e-3)
    True
    """

    rnn: RNN
    readout: Tensor | None

    def __init__(
        self,
        input_size: int,
        units: int = 300,
        leak: float | Sequence[float] = 0.3,
        spectral_radius: float = 0.9,
        input_scale: float = 1.0,
        density: float = 0.1,
        ridge: float = 1e-6,
        washout: int = 100,
        seed: int = 0,
        *,
        batch_first: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:
        number("spectral_radius", spectral_radius, "at least 0", lambda r: 0 <= r < math.inf)
        number("input_scale", input_scale, "above 0", lambda s: 0 < s < math.inf)
        number("density", density, "in (0, 1]", lambda d: 0 < d <= 1)
        number("ridge", ridge, "at least 0", lambda b: 0 <= b < math.inf)
        for name, value in (("washout", washout), ("seed", seed)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} should be an int, got {value!r}")
            if value < 0:
                raise ValueError(f"{name} should be at least 0, got {value}")
        super().__init__()
        self.spectral_radius, self.input_scale, self.density = spectral_radius, input_scale, density
        self.ridge, self.washout, self.seed = ridge, washout, seed
        with torch.random.fork_rng(devices=[]):  # the layer's own first weights are not used
            self.rnn = RNN(
                input_size, units, batch_first=batch_first, dtype=dtype,
                dynamics=Dynamics(leak=leak), wiring=Wiring(one_bias=True),
            ).requires_grad_(False)  # fmt: skip
        self._draw()
        self.register_buffer("readout", None)
        self.state: Tensor | None = None
        self._last: Tensor | None = None  # y of the last step, for `generate`

    def _draw(self) -> None:
        """The weights, the same in every dtype but for rounding."""
        source = torch.Generator().manual_seed(self.seed)
        H, H_in = self.rnn.hidden_size, self.rnn.input_size
        given: dict[str, Any] = {"generator": source, "dtype": torch.float64}
        into = self.input_scale * (2 * torch.rand(H, H_in + 1, **given) - 1)
        there = torch.rand(H, H, **given) < self.density
        if not _has_cycle(there):
            raise ValueError(
                f"with units={H} and density={self.density} no unit hears itself, not even by way "
                "of others; raise one of them, or take another seed"
            )
        W = torch.randn(H, H, **given) * there
        radius = float(torch.linalg.eigvals(W).abs().max())
        with torch.no_grad():
            self.rnn.get_parameter("weight_ih_l0").copy_(into[:, 1:])
            self.rnn.get_parameter("bias_ih_l0").copy_(into[:, 0])
            self.rnn.get_parameter("weight_hh_l0").copy_(W * (self.spectral_radius / radius))

    def fit(self, x: Tensor, y: Tensor, lengths: Lengths | None = None) -> "Reservoir":
        """Fit the read-out, from a state of zeros; a fit before it is forgotten.

        Args:
            x: (L, H_in), (L, N, H_in), or (N, L, H_in) with `batch_first`.
            y: what should be read out after each step, x's shape with F in the place of H_in.
            lengths: of rows, as the layer takes them; what lies beyond is not read.

        Returns:
            The model itself.

        Raises:
            TypeError, ValueError: x and y do not fit each other or hold NaN or inf, no step is
                left after the washout, or without a ridge the states are collinear.
        """
        self._check(x, lengths)
        if not isinstance(y, Tensor):
            raise TypeError(f"y should be a Tensor, got {type(y).__name__}")
        if y.dim() != x.dim() or y.shape[:-1] != x.shape[:-1] or not y.shape[-1]:
            raise ValueError(
                f"y should be of shape {tuple(x.shape[:-1])} with its features behind, as x is "
                f"{tuple(x.shape)}, got {tuple(y.shape)}"
            )
        system = Ridge(self._width, y.shape[-1], self.ridge, x.device)
        ends: tuple[Tensor, Tensor] | None = None
        with torch.no_grad():
            for z, target, used, h in self._blocks(x, y, lengths):
                system.add(z[used], target[used])
                ends = z[-1], h
            if not system.rows:
                raise ValueError(
                    f"no step is left to fit to after a washout of {self.washout}, got x of "
                    f"{tuple(x.shape)}; lower washout"
                )
            self.readout = system.solve()
        assert ends is not None
        last, h = ends
        y_n = nn.functional.linear(last, self.readout).to(x.dtype)  # (N, F)
        single = x.dim() == 2
        self.state = h.squeeze(1) if single else h
        self._last = None if lengths is not None else y_n[0] if single else y_n
        return self

    def _blocks(
        self, x: Tensor, y: Tensor, lengths: Lengths | None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """For some steps at a time z (l, N, K), y, which of them count, and the last state."""
        if x.dim() == 2:
            x, y = x.unsqueeze(1), y.unsqueeze(1)
        elif self.rnn.batch_first:
            x, y = x.transpose(0, 1), y.transpose(0, 1)
        L, N = x.shape[:2]
        live = torch.full((N,), L) if lengths is None else as_lengths(lengths)
        check_lengths(live, N, L)
        steps = max(1, _BLOCK * self._width // max(N, 1))
        turn = int(self.rnn.batch_first)
        h = None
        for first in range(0, L, steps):
            part = x[first : first + steps]
            here = (live - first).clamp(0, len(part))
            states, h = self.rnn(part.transpose(0, turn), h, lengths=here)
            t = torch.arange(first, first + len(part))[:, None]
            used = ((t >= self.washout) & (t < live)).to(x.device)
            yield _features(part, states.transpose(0, turn)), y[first : first + steps], used, h

    @torch.no_grad()
    def predict(self, x: Tensor, lengths: Lengths | None = None, *, carry: bool = False) -> Tensor:
        """What is read out after each step.

        Args:
            x: as in `fit`.
            lengths: of rows; beyond them y is of no meaning.
            carry: whether to go on from `state`, where the call before ended, instead of zeros.
                Default: False.

        Returns:
            y, x's shape with F in the place of H_in.

        Raises:
            RuntimeError: there is no read-out yet.
            TypeError, ValueError: x does not fit the layer, or `state`.
        """
        y, self.state = self(x, self.state if carry else None, lengths=lengths)
        time = int(self.rnn.batch_first and x.dim() == 3)
        self._last = y.select(time, -1) if lengths is None and x.shape[time] else None
        return y

    def step(self, x: Tensor) -> Tensor:
        """The next step alone, from `state`.

        Args:
            x: (H_in,) or (N, H_in).

        Returns:
            y, (F,) or (N, F).
        """
        if not isinstance(x, Tensor) or x.dim() not in (1, 2):
            got = f"{x.dim()}-D" if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"x should be a Tensor (H_in,) or (N, H_in), got {got}")
        time = self.rnn.batch_first and x.dim() == 2
        return self.predict(x.unsqueeze(int(time)), carry=True).squeeze(int(time))

    def generate(self, steps: int, x: Tensor | None = None) -> Tensor:
        """Run free: each output is the next input.

        Args:
            steps: how many.
            x: what to read before, going on from `state`, as in `fit`; the first output follows
                its last step. Default: nothing; the first input is the last call's last output.

        Returns:
            y, as from `predict`, with `steps` in the place of L.

        Raises:
            RuntimeError: there is no read-out yet, or nothing was read.
            ValueError: an output has another size than an input; or steps is below 1.
        """
        F, H_in = len(self._fitted()), self.rnn.input_size
        if steps < 1:
            raise ValueError(f"steps should be at least 1, got {steps}")
        if H_in != F:
            raise ValueError(
                f"to run free, an output should be an input: fit y of {H_in} features, got {F}"
            )
        if x is not None:
            self.predict(x, carry=True)
        elif self._last is not None:
            self.step(self._last)
        found = self._last
        if found is None:
            raise RuntimeError("nothing was read yet to go on from; give x")
        outputs = [found]
        while len(outputs) < steps:
            found = self.step(found)
            outputs.append(found)
        return torch.stack(outputs, dim=int(self.rnn.batch_first and found.dim() == 2))

    def reset(self) -> None:
        """Back to a state of zeros; the read-out stays."""
        self.state = self._last = None

    def forward(
        self,
        x: Tensor,
        hx: Tensor | None = None,
        *,
        lengths: Lengths | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Give y and the last state, from `hx` instead of `state`; x and hx get gradients."""
        self._check(x, lengths)
        self._fitted()
        h, h_n = self.rnn(x, hx, lengths=lengths)
        return self._read(x, h), h_n

    @property
    def _width(self) -> int:
        """K, of z."""
        return 1 + self.rnn.input_size + self.rnn.hidden_size

    def _fitted(self) -> Tensor:
        if self.readout is None:
            raise RuntimeError("the Reservoir has no read-out yet; call fit(x, y) first")
        return self.readout

    def _read(self, x: Tensor, h: Tensor) -> Tensor:
        """W_out [1, x, h] in the dtype of x; in float64 on the way, for its terms are large."""
        return nn.functional.linear(_features(x, h), self._fitted()).to(x.dtype)

    def _apply(self, fn: Any, recurse: bool = True) -> "Reservoir":
        """As torch.nn.Module's, through which a module is moved or converted; float64 stays so."""
        readout = self.readout
        super()._apply(fn, recurse)
        if readout is not None and self.readout is not None:
            self.readout = readout.to(self.readout.device)
        self.state, self._last = (t if t is None else fn(t) for t in (self.state, self._last))
        return self

    def _check(self, x: Tensor, lengths: Lengths | None) -> None:
        """The kind of x; sizes and dtype the layer looks at."""
        if not isinstance(x, Tensor):
            raise TypeError(f"x should be a Tensor, got {type(x).__name__}")
        if x.dim() not in (2, 3) or (lengths is not None and x.dim() == 2):
            wanted = "2-D or 3-D" if lengths is None else "3-D, as lengths ask for"
            raise ValueError(f"x should be {wanted}, got {x.dim()}-D")

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *others: Any
    ) -> None:
        """As torch's; the read-out has the shape that it was saved with."""
        saved = state_dict.get(f"{prefix}readout")
        if saved is None:
            self.readout = None  # it was saved before a fit
        elif saved.dim() == 2 and saved.shape[1] == self._width:
            weight = self.rnn.get_parameter("weight_hh_l0")
            self.readout = weight.new_empty(saved.shape, dtype=torch.float64)
        self.reset()
        super()._load_from_state_dict(state_dict, prefix, *others)

    def extra_repr(self) -> str:
        """What the layer under it does not say."""
        names = ("spectral_radius", "input_scale", "density", "ridge", "washout", "seed")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


def _features(x: Tensor, h: Tensor) -> Tensor:
    """The vector z = [1, x, h] in float64."""
    one = x.new_ones(*x.shape[:-1], 1)
    return torch.cat([one, x, h], -1).double()


def _has_cycle(hears: Tensor) -> bool:
    """Whether some unit hears itself, by way of others or at once.

    Args:
        hears: bools (H, H).

    >>> _has_cycle(torch.tensor([[False, True], [False, False]]))
    False
    """
    alive = hears.any(1)
    while True:  # a unit that hears only the silent is silent after so many steps
        left = alive & (hears & alive).any(1)
        if bool((left == alive).all()):
            return bool(alive.any())
        alive = left
