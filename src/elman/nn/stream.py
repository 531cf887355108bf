"""Step by step, for values as they come: `Stream` holds a network's weights and its state."""

import ctypes
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import rnn as torchs  # its classes, also where torch.nn.RNN was replaced

from elman.nn.arguments import of_mode
from elman.nn.cell import RNNCell
from elman.nn.rnn import RNN
from elman.ops import cpu
from elman.ops.activations import NONLINEARITIES, NUMBERS

_Layer = tuple[Tensor, Tensor | None, Tensor]  # weight_ih (H, K), weight_hh (H, H), bias (H,)


class Stream:
    r"""A recurrent network that takes one step at a time, for inference on live data.

        h = f(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)  in each layer, and y = head(h) of the last

    The compiled kernels keep weights and state between the calls, so that a step of a small
    network takes a few microseconds. Steps one after the other give what the whole sequence
    gives. The weights are those of the moment: after more training make a new Stream.

    Args:
        rnn: an `elman.RNN` or torch.nn.RNN, in one direction, or an `elman.RNNCell` or
            torch.nn.RNNCell; on the CPU, float32 or float64.
        head: a torch.nn.Linear on the last layer's state. Default: none, y is the state.
        batch: N, rows that go side by side, each with a state of its own. Default: 1.

    Raises:
        TypeError: rnn or head is something else, or of another dtype.
        ValueError: two directions, another device, or sizes that do not fit.

    Attributes:
        state: the layers' states, (num_layers, N, H_out), a copy; set it to go on from there.

    >>> rnn = RNN(3, 5)
    >>> stream = Stream(rnn)
    >>> x = torch.randn(4, 1, 3)
    >>> y = torch.stack([stream.step(x_t) for x_t in x])
    >>> torch.allclose(y, rnn(x)[0], atol=1e-6)
    True
    """

    def __init__(self, rnn: nn.Module, head: nn.Linear | None = None, batch: int = 1) -> None:
        if isinstance(batch, bool) or not isinstance(batch, int):
            raise TypeError(f"batch should be an int, got {type(batch).__name__}")
        if batch < 1:
            raise ValueError(f"batch should be at least 1, got {batch}")
        self._layers, self._nonlinearity = _layers_of(rnn)
        if head is not None:
            self._layers.append(_head(head, self._layers[-1][0]))
        _check_tensors(self._layers)
        first, last = self._layers[0][0], self._layers[-1][0]
        self._dtype, self._N = first.dtype, batch
        self._recurrent = len(self._layers) - (head is not None)
        self._shape, self._row = torch.Size((batch, first.shape[1])), first.shape[1]
        like = first.new_empty(batch, last.shape[0])
        self._likes = {self._shape: like}  # what y is like, for each shape x may have
        if batch == 1:
            self._likes[self._shape[1:]] = like[0]
        self._open()

    def _open(self) -> None:
        self._handle: Any = None
        self._states: list[Tensor] = []  # without the kernels
        if cpu.problem() is not None:
            self.reset()
            return
        library = cpu.library()
        weights = [t for layer in self._layers for t in layer]
        pointers = [None if t is None else _place("a weight", t) for t in weights]
        sizes = [self._layers[0][0].shape[1], *(layer[0].shape[0] for layer in self._layers)]
        self._handle = library.elman_stream_open(
            self._dtype == torch.float64, self._N, NUMBERS[self._nonlinearity],
            len(self._layers), (ctypes.c_int64 * len(sizes))(*sizes),
            (ctypes.c_void_p * len(pointers))(*pointers),
        )  # fmt: skip
        if self._handle is None:
            raise MemoryError("not enough memory for the stream's copy of the weights")
        self._kernel = library.elman_stream_step
        self._access = library.elman_stream_state
        weakref.finalize(self, library.elman_stream_close, self._handle)

    def step(self, x: Tensor) -> Tensor:
        """One step.

        Args:
            x: (N, H_in), or (H_in,) where N is 1.

        Returns:
            y, (N, H_out) or (H_out,), outside of autograd.

        Raises:
            TypeError: x is no tensor or has another dtype than the weights.
            ValueError: x has another shape or lies on another device.
        """
        like = self._likes.get(x.shape) if type(x) is Tensor else None
        if (
            like is None
            or x.dtype is not self._dtype
            or not x.is_contiguous()
            or not x.is_cpu
            or x.is_neg()
        ):
            return self._other(x)
        if self._handle is None:
            return self._composed(x.view(self._shape)).view(like.shape)
        y = torch.empty_like(like)  # half the time of torch.empty
        if type(y) is not Tensor:  # some mode of torch's gives tensors without numbers
            raise TypeError(f"a Stream computes on ordinary tensors, not on {type(y).__name__}")
        place = x.data_ptr()
        if not place and self._row:
            raise ValueError("x has no numbers: its storage was taken away")
        self._kernel(self._handle, place, y.data_ptr())
        return y

    def _other(self, x: Tensor) -> Tensor:
        """A step from what is not quite as the kernels read it, if it can be made so."""
        if not isinstance(x, Tensor):
            raise TypeError(f"x should be a Tensor, got {type(x).__name__}")
        if x.dtype != self._dtype:
            raise TypeError(f"x should be {self._dtype}, as the weights, got {x.dtype}")
        if not x.is_cpu:
            raise ValueError(f"x should be on the CPU, got {x.device}; move it with x.cpu()")
        if x.shape not in self._likes:
            also = f" or ({self._row},)" if self._N == 1 else ""
            raise ValueError(f"x should be {tuple(self._shape)}{also}, got {tuple(x.shape)}")
        plain = x.detach().resolve_neg().as_subclass(Tensor).contiguous()
        if type(plain) is not Tensor:
            raise TypeError(f"x should be an ordinary Tensor, got {type(x).__name__}")
        return self.step(plain)

    def _composed(self, x: Tensor) -> Tensor:
        """The same in torch's operators, where there are no kernels."""
        f = NONLINEARITIES[self._nonlinearity]
        with torch.no_grad():
            for k, (weight_ih, weight_hh, bias) in enumerate(self._layers):
                x = functional.linear(x, weight_ih, bias)
                if weight_hh is not None:
                    x = f(x + functional.linear(self._states[k], weight_hh))
                    self._states[k] = x
        return x.clone() if len(self._layers) == self._recurrent else x

    @property
    def state(self) -> Tensor:
        """The layers' states, (num_layers, N, H_out): a copy."""
        if self._handle is None:
            return torch.stack(self._states)
        out = self._layers[0][0].new_empty(self._state_shape())
        self._access(self._handle, _place("state", out), None)
        return out

    @state.setter
    def state(self, h: Tensor) -> None:
        if not isinstance(h, Tensor) or h.dtype != self._dtype:
            got = h.dtype if isinstance(h, Tensor) else type(h).__name__
            raise TypeError(f"state should be a Tensor of {self._dtype}, got {got}")
        if tuple(h.shape) != self._state_shape():
            raise ValueError(f"state should be {self._state_shape()}, got {tuple(h.shape)}")
        h = h.detach().cpu().resolve_neg().as_subclass(Tensor).contiguous()
        if self._handle is None:
            self._states = [state.clone() for state in h]
        else:
            self._access(self._handle, None, _place("state", h))

    def _state_shape(self) -> tuple[int, int, int]:
        return self._recurrent, self._N, self._layers[0][0].shape[0]

    def reset(self) -> None:
        """Back to a state of zeros."""
        self.state = self._layers[0][0].new_zeros(self._state_shape())

    def __getstate__(self) -> dict[str, Any]:
        kept = {k: v for k, v in vars(self).items() if k not in ("_handle", "_kernel", "_access")}
        return {**kept, "_states": self.state}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        state = kept.pop("_states")
        vars(self).update(kept)
        self._open()
        self.state = state


def _layers_of(rnn: nn.Module) -> tuple[list[_Layer], str]:
    """The weights of each layer, detached, and the nonlinearity."""
    if isinstance(rnn, (RNN, torchs.RNN)):
        if rnn.bidirectional:
            raise ValueError(
                "a Stream goes forward only: a second direction would read from the end, which "
                "live data does not have"
            )
        for what in ("dynamics", "wiring"):
            if getattr(rnn, what, None) is not None:
                raise ValueError(
                    f"a Stream runs plain layers, got an RNN with {what}={getattr(rnn, what)}; "
                    "call the RNN itself with L = 1, and hand its state on"
                )
        weights = rnn.all_weights
    elif isinstance(rnn, (RNNCell, nn.RNNCell)):
        names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if rnn.bias else [])]
        weights = [[getattr(rnn, name) for name in names]]
    else:
        raise TypeError(f"rnn should be an RNN or RNNCell, got {type(rnn).__name__}")
    layers: list[_Layer] = []
    for weight_ih, weight_hh, *biases in weights:
        bias = sum(biases, weight_ih.new_zeros(weight_ih.shape[0]))
        layers.append((_own(weight_ih), _own(weight_hh), _own(bias)))
    f = of_mode(rnn.mode) if isinstance(rnn, torchs.RNN) else rnn.nonlinearity
    if f not in NONLINEARITIES:
        raise ValueError(f"a Stream has no kernel for nonlinearity={f!r}")
    return layers, str(f)


def _place(name: str, t: Tensor) -> int:
    """Where the numbers of a tensor lie, for the kernels."""
    if type(t) is not Tensor:
        raise TypeError(f"a Stream computes on ordinary tensors, not on {type(t).__name__}")
    place = t.data_ptr()
    if not place and t.numel():
        raise ValueError(f"{name} has no numbers: its storage was taken away")
    return place


def _head(head: nn.Linear, below: Tensor) -> _Layer:
    if not isinstance(head, nn.Linear):
        raise TypeError(f"head should be a torch.nn.Linear, got {type(head).__name__}")
    if head.in_features != below.shape[0]:
        raise ValueError(
            f"head should take the last layer's {below.shape[0]} units, "
            f"got in_features={head.in_features}"
        )
    bias = head.weight.new_zeros(head.out_features) if head.bias is None else head.bias
    return _own(head.weight), None, _own(bias)


def _own(t: Tensor) -> Tensor:
    """A copy of its own, which later training does not change."""
    return t.detach().clone(memory_format=torch.contiguous_format)


def _check_tensors(layers: list[_Layer]) -> None:
    dtype, K = layers[0][0].dtype, layers[0][0].shape[-1]
    for weight_ih, weight_hh, bias in layers:
        H = weight_ih.shape[0]
        expected = {"weight_ih": (H, K), "weight_hh": (H, H), "bias": (H,)}
        for name, t in zip(expected, (weight_ih, weight_hh, bias), strict=True):
            if t is not None and tuple(t.shape) != expected[name]:
                raise ValueError(f"{name} should be {expected[name]}, got {tuple(t.shape)}")
        K = H
    for t in (t for layer in layers for t in layer if t is not None):
        if t.device.type != "cpu":
            raise ValueError(f"a Stream runs on the CPU, got weights on {t.device}; use .cpu()")
        if t.dtype not in cpu.OWN or t.dtype != dtype:
            raise TypeError(f"weights should all be float32 or all float64, got {t.dtype}")
