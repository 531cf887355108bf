"""The layer: `RNN`, in the place of torch.nn.RNN."""

import functools
import operator
from collections.abc import Callable
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from elman.nn import parameters, ragged
from elman.nn.arguments import MODES, OF_TORCH, check_arguments, check_extensions
from elman.nn.dynamics import NOTHING, Dynamics
from elman.nn.lengths import Lengths, all_whole, as_lengths, check_lengths, packing
from elman.nn.wiring import PLAIN, Wiring
from elman.ops import layer as run_layer
from elman.ops import onnx
from elman.ops.activations import Nonlinearity
from elman.ops.doors import autocast


class RNN(nn.Module):
    r"""A multi-layer Elman RNN: torch.nn.RNN's arguments, parameters, shapes and numbers.

        h_t = f(x_t W_ihᵀ + b_ih + h_{t-1} W_hhᵀ + b_hh)

    L time steps, N batch, H_in `input_size`, H_out `hidden_size`, D directions (2 if
    `bidirectional`, else 1).

    Args:
        input_size: H_in, features of x at each step.
        hidden_size: H_out, units of the hidden state h.
        num_layers: layers, each reading the states of the one below. Default: 1.
        nonlinearity: f, "tanh" or "relu"; and, not in torch.nn.RNN, any other of
            `elman.ops.NONLINEARITIES`, or a function of a tensor, which runs in a plain loop over
            torch's operators and says so. Default: "tanh".
        bias: whether b_ih and b_hh are there. Default: True.
        batch_first: whether input and output are (N, L, ...) instead of (L, N, ...); h_0,
            h_n and unbatched input are as without. Default: False.
        dropout: probability with which an output of any layer but the last is zeroed while
            training. Default: 0.
        bidirectional: whether a second direction reads from the end. Default: False.
        device, dtype: of the parameters.
        dynamics: not in torch.nn.RNN, as all that follows: what a step does besides, a leak for
            example; see `elman.Dynamics`. Default: None.
        wiring: how the layers are put together; see `elman.Wiring`. Default: None.
        checkpoint_every: keep the states of every so many steps alone, and compute the others
            once more in the backward pass; for one direction. Default: None, keep all.

    Call with:
        input: (L, H_in) unbatched, (L, N, H_in), (N, L, H_in) with `batch_first`, or a
            `PackedSequence`, its rows sorted by length or not. L = 0 and N = 0 are allowed. Or,
            not in torch.nn.RNN, a nested tensor (N, j, H_in) of layout torch.jagged.
        hx: h_0, (D·num_layers, N, H_out), or (D·num_layers, H_out) for unbatched input; with
            layers of different sizes (D, N, H_out) of each. Default: zeros.
        lengths: not in torch.nn.RNN: of padded 3-D input, how many steps each row has, integers
            (N,) from 0 to L in any order, a tensor or a list; one on the GPU, beside the input, may
            change in a CUDA graph. What lies beyond is never read. Default: all L.
        mask: not in torch.nn.RNN: of padded input, bools (L, N), or (N, L) with `batch_first`,
            or (L,), False in a gap, where the state is held and the input not read. Default: none.
        reset: not in torch.nn.RNN: bools as those, True where something new begins: the state
            before that step is set to zero, and the other direction ends there. Default: none.
        states: not in torch.nn.RNN: "output", "all" for the outputs of all layers, the lowest
            first, or "last" for h_n alone, with None in the output's place. Default: "output".

    Returns:
        output: the last layer's h_t at every t, shaped as the input with D·H_out at the end;
            zero beyond a row's length.
        h_n: each row's last state, shaped as h_0, in the caller's order of rows.

    Raises:
        TypeError, ValueError, RuntimeError: as torch.nn.RNN does for the same mistake.

    Attributes:
        weight_ih_l[k], weight_hh_l[k]: (H_out, H_in or D·H_out) and (H_out, H_out).
        bias_ih_l[k], bias_hh_l[k]: (H_out,). Of the second direction with `_reverse` added.
            All begin uniform in ±1/√H_out, the same numbers as torch's under the same seed.

    Source: Elman, Finding Structure in Time, Cognitive Science 14 (1990); the interface is
    that of torch.nn.RNN, https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html

    >>> rnn = RNN(10, 20, num_layers=2)
    >>> output, h_n = rnn(torch.randn(5, 3, 10), torch.zeros(2, 3, 20))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        dynamics: Dynamics | None = None,
        wiring: Wiring | None = None,
        checkpoint_every: int | None = None,
        **unknown: Any,
    ) -> None:
        if "proj_size" in unknown:
            raise ValueError("proj_size is an argument of LSTM only, not of RNN; leave it out")
        if unknown:
            raise TypeError(f"RNN got an unexpected keyword argument {next(iter(unknown))!r}")
        check_arguments(
            input_size, hidden_size, num_layers, nonlinearity,
            {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}, dropout,
        )  # fmt: skip
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = operator.index(num_layers)
        self.nonlinearity = nonlinearity
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = 0
        self._extend(dynamics, wiring, checkpoint_every)
        #: For each layer and direction the names of its parameters, in torch's order.
        self._all_weights: list[list[str]] = []
        parameters.create(self, device, dtype)
        self.reset_parameters()

    #: A layer that `elman.convert` made has none of these.
    dynamics: Dynamics | None = None
    wiring: Wiring | None = None
    checkpoint_every: int | None = None

    def _extend(
        self, dynamics: Dynamics | None, wiring: Wiring | None, checkpoint_every: int | None
    ) -> None:
        check_extensions(dynamics, wiring, checkpoint_every)
        self.dynamics, self.wiring = dynamics, wiring
        self.wiring_or_plain.check(
            self.num_layers, self.hidden_size, self.bidirectional, bool(self.bias)
        )
        backward = self.bidirectional or self.wiring_or_plain.reverse
        if checkpoint_every is not None and backward:
            raise ValueError(
                "checkpoint_every goes forward only: a direction that reads from the end would "
                "need the parts that are not there yet"
            )
        self.checkpoint_every = checkpoint_every

    @property
    def plain_in_eval(self) -> bool:
        """Whether the layer does in eval mode what torch.nn.RNN does."""
        return self.wiring is None and (self.dynamics is None or self.dynamics.plain_in_eval)

    @property
    def wiring_or_plain(self) -> Wiring:
        """How the layers are put together: as torch does where nothing else was said."""
        return self.wiring or PLAIN

    @property
    def dynamics_or_plain(self) -> Dynamics:
        """What a step does besides: nothing where nothing was said."""
        return self.dynamics or NOTHING

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """H_out of each layer."""
        sizes = self.wiring_or_plain.hidden_sizes
        return tuple(sizes) if sizes is not None else (self.hidden_size,) * self.num_layers

    def width_above(self, layer: int) -> int:
        """Features of a layer's output."""
        both = self.bidirectional and self.wiring_or_plain.merge == "concat"
        return self.hidden_sizes[layer] * (2 if both else 1)

    def width_below(self, layer: int) -> int:
        """Features of a layer's input."""
        return self.width_above(layer - 1) if layer else self.input_size

    @property
    def _num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def mode(self) -> str:
        """The nonlinearity under torch's name for it, "RNN_TANH" or "RNN_RELU"."""
        f = self.nonlinearity
        return MODES[f] if isinstance(f, str) else f"RNN_{getattr(f, '__name__', repr(f)).upper()}"

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters of each layer and direction, as torch.nn.RNN lists them."""
        return [parameters.read(self, names) for names in self._all_weights]

    def reset_parameters(self) -> None:
        """Draw every weight and bias anew, uniform in ±1/√H_out; the others to where they begin."""
        parameters.reset(self)

    def flatten_parameters(self) -> None:
        """Nothing to do: the parameters are read where they lie. Here for torch's callers."""

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """As torch.nn.Module's. A hook of Opacus's lets it read the layer (elman.nn.opacus)."""
        owner = getattr(getattr(hook, "func", None), "__self__", None)
        if type(owner).__module__.partition(".")[0] == "opacus":
            from elman.nn.opacus import read_by

            read_by(self, hook)
        return super().register_full_backward_hook(hook, prepend)

    def extra_repr(self) -> str:
        """The arguments that differ from the defaults, as torch.nn.RNN prints them."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.num_layers != 1:
            parts.append(f"num_layers={self.num_layers}")
        if self.nonlinearity not in OF_TORCH:  # torch prints no nonlinearity
            parts.append(f"nonlinearity={self.nonlinearity}")
        of_torch = {"bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        own = dict.fromkeys(("dynamics", "wiring", "checkpoint_every"))
        for name, default in {**of_torch, **own}.items():
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)

    @overload
    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        lengths: Lengths | None = None,
        mask: Tensor | None = None,
        reset: Tensor | None = None,
        states: Literal["output"] = "output",
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def forward(
        self, input: Any, hx: Any = None, *, lengths: Any = None, mask: Any = None,
        reset: Any = None, states: str,
    ) -> tuple[Any, Any]: ...  # fmt: skip
    @overload
    def forward(
        self, input: PackedSequence, hx: Tensor | None = None
    ) -> tuple[PackedSequence, Tensor]: ...
    def forward(
        self,
        input: Any,  # noqa: A002 - torch's name
        hx: Tensor | None = None,
        *,
        lengths: Lengths | None = None,
        mask: Tensor | None = None,
        reset: Tensor | None = None,
        states: str = "output",
    ) -> Any:
        """Run the layers over `input` from the state `hx`; shapes under the class."""
        if (
            (self.dynamics is not None and (self.training or not self.dynamics.plain_in_eval))
            or self.wiring is not None
            or self.checkpoint_every is not None
            or mask is not None
            or reset is not None
            or states != "output"
            or (isinstance(input, Tensor) and input.is_nested)
        ):
            from elman.nn import extended  # a plain layer does without

            return extended.forward(self, input, hx, lengths, mask, reset, states)
        if lengths is not None:
            return self._forward_padded(input, hx, as_lengths(lengths))
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"RNN: input should be 2-D or 3-D, got {input.dim()}-D")
        if hx is not None and hx.dim() != input.dim():
            raise RuntimeError(
                f"RNN: hx should be {input.dim()}-D as the input is, got {hx.dim()}-D"
            )
        if input.dim() == 2:  # unbatched
            output, h_n = self._run(input.unsqueeze(1), hx if hx is None else hx.unsqueeze(1))
            return output.squeeze(1), h_n.squeeze(1)
        if self.batch_first:
            output, h_n = self._run(input.transpose(0, 1), hx)
            return output.transpose(0, 1), h_n
        return self._run(input, hx)

    def _forward_padded(
        self, x: Tensor, hx: Tensor | None, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        if isinstance(x, PackedSequence) or x.dim() != 3:
            what = "a PackedSequence" if isinstance(x, PackedSequence) else f"{x.dim()}-D"
            raise ValueError(f"RNN: lengths go with 3-D padded input, got {what}")
        N, L = x.shape[:2] if self.batch_first else (x.shape[1], x.shape[0])
        if onnx.exporting():  # its node reads padded input
            return self._forward_node(x, hx, lengths)
        if lengths.is_cuda and ragged.serves(self, x, hx):
            return ragged.forward(self, x, hx, lengths)
        check_lengths(lengths, N, L)
        if all_whole(lengths, L):
            return self.forward(x, hx)
        plan = packing(lengths, L, self.batch_first)
        packed, h_n = self._forward_packed(plan.pack(x), hx)
        return plan.pad(packed.data, x.shape[:2]), h_n

    def _forward_node(self, x: Tensor, hx: Tensor | None, lengths: Tensor) -> tuple[Tensor, Tensor]:
        run = functools.partial(onnx.layer, lengths=lengths)
        if not self.batch_first:
            return self._run(x, hx, run=run)
        output, h_n = self._run(x.transpose(0, 1), hx, run=run)
        return output.transpose(0, 1), h_n

    def _forward_packed(
        self, packed: PackedSequence, hx: Tensor | None
    ) -> tuple[PackedSequence, Tensor]:
        data, batch_sizes, sorted_indices, unsorted_indices = packed
        if onnx.exporting():
            onnx.refuse_packed(batch_sizes)
        if data.dim() != 2:
            raise RuntimeError(f"RNN: packed input should have 2-D data, got {data.dim()}-D")
        N = self._rows(packed, hx)
        if hx is not None:
            self._check_hidden(hx, data, N)
            if sorted_indices is not None:
                hx = hx.index_select(1, sorted_indices)
        output, h_n = self._run(data, hx, N, batch_sizes)
        if unsorted_indices is not None:
            h_n = h_n.index_select(1, unsorted_indices)
        return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), h_n

    @staticmethod
    def _rows(packed: PackedSequence, hx: Tensor | None) -> int:
        """N, with the rows of length zero that `lengths` may have brought."""
        if packed.sorted_indices is not None:
            return packed.sorted_indices.shape[0]
        if hx is None or not torch.compiler.is_compiling():
            return int(packed.batch_sizes[0])
        N = hx.shape[1]  # of which a compiler knows what it does not of a number in a tensor
        torch._assert_async(packed.batch_sizes[0] == N, "RNN: hx has another N than the input")
        return N

    def _run(
        self,
        x: Tensor,
        h_0: Tensor | None,
        N: int | None = None,
        batch_sizes: Tensor | None = None,
        run: Callable[..., tuple[Tensor, Tensor]] = run_layer,
    ) -> tuple[Tensor, Tensor]:
        """All layers over dense (L, N, H_in) or packed (rows, H_in) input, rows sorted."""
        weights = self.all_weights  # once: a parametrised weight is computed at each reading
        self._check_input(x, weights[0][0].dtype)
        N = x.shape[1] if N is None else N
        absent = h_0 is None and x.is_cuda and batch_sizes is None and run is run_layer
        if h_0 is not None:
            self._check_hidden(h_0, x, N)
        elif not absent:
            h_0 = x.new_zeros(len(self._all_weights), N, self.hidden_size)
        D, last = self._num_directions, []
        for k in range(0, len(weights), D):
            if k and self.dropout:
                x = functional.dropout(x, self.dropout, self.training)
            initial = h_0 if h_0 is None or len(weights) == D else h_0[k : k + D]
            x, h_n = run(x, initial, weights[k : k + D], self.nonlinearity, batch_sizes)
            last.append(h_n)
        return x, last[0] if len(last) == 1 else torch.cat(last)  # (..., D·H_out)

    def _check_input(self, x: Tensor, dtype: torch.dtype) -> None:
        if x.dtype != dtype and not autocast(x):
            raise ValueError(
                f"RNN: input is {x.dtype} but the weights are {dtype}; convert the input with "
                f"input.to({dtype}), or the layer with rnn.to(...)"
            )
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                f"RNN: the last dimension of input should be input_size, {self.input_size}, "
                f"got {x.shape[-1]}"
            )

    def _check_hidden(self, hx: Tensor, x: Tensor, N: int) -> None:
        expected = (len(self._all_weights), N, self.hidden_size)
        if tuple(hx.shape) != expected:
            raise RuntimeError(f"RNN: hx should be {expected}, got {tuple(hx.shape)}")
        if hx.device != x.device:
            raise RuntimeError(
                f"RNN: hx is on {hx.device} but input on {x.device}; move it with "
                f"hx.to({str(x.device)!r})"
            )
        if hx.dtype != x.dtype and not autocast(x):
            raise RuntimeError(
                f"RNN: hx is {hx.dtype} but input is {x.dtype}; convert it with hx.to({x.dtype})"
            )
