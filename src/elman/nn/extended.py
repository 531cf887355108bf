"""What a call of an `RNN` can ask beyond torch.nn.RNN's: flags, states, in parts."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman.nn.flags import Flags, as_flags
from elman.nn.lengths import Lengths, all_whole, as_lengths, check_lengths, packing
from elman.nn.parts import SHORT, Sequences, run_in_parts, run_padded
from elman.nn.stack import draw, run, tensors_of
from elman.ops import onnx
from elman.ops.doors import transformed

if TYPE_CHECKING:
    from elman.nn.rnn import RNN

#: What a call may give: the last layer's output, that of every layer, or none, beside h_n.
STATES = ("output", "all", "last")


def forward(
    rnn: "RNN",
    input: Any,  # noqa: A002 - torch's name
    hx: Any,
    lengths: Lengths | None,
    mask: Tensor | None,
    reset: Tensor | None,
    states: str,
) -> tuple[Any, Any]:
    """As `RNN.forward`."""
    if states not in STATES:
        raise ValueError(f"RNN: states should be one of {', '.join(STATES)}, got {states!r}")
    if isinstance(input, PackedSequence) or input.is_nested:
        for name, given in (("lengths", lengths), ("mask", mask), ("reset", reset)):
            if given is not None:
                what = (
                    "a PackedSequence" if isinstance(input, PackedSequence) else "a nested tensor"
                )
                raise ValueError(f"RNN: {name} goes with padded input, got {what}; pad it first")
        rows = _packed if isinstance(input, PackedSequence) else _nested
        return rows(rnn, input, hx, states)
    if input.dim() not in (2, 3) or (lengths is not None and input.dim() == 2):
        wanted = "3-D, as lengths ask for" if lengths is not None else "2-D or 3-D"
        raise ValueError(f"RNN: input should be {wanted}, got {input.dim()}-D")
    return _padded(rnn, input, hx, lengths, mask, reset, states)


def _padded(
    rnn: "RNN",
    input: Tensor,  # noqa: A002 - torch's name
    hx: Any,
    lengths: Lengths | None,
    mask: Tensor | None,
    reset: Tensor | None,
    states: str,
) -> tuple[Any, Any]:
    single, first = input.dim() == 2, rnn.batch_first and input.dim() == 3
    steps = None if lengths is None else as_lengths(lengths)
    backward = rnn.bidirectional or rnn.wiring_or_plain.reverse
    flags = as_flags(mask, reset, input, rnn.batch_first, steps, backward)
    if reset is not None and hx is None and rnn.wiring_or_plain.learn_h_0:
        raise ValueError(
            "RNN: reset sets a state to zero, but with learn_h_0 a row begins elsewhere; give hx"
        )
    x = input.unsqueeze(1) if single else input.transpose(0, 1) if first else input
    tensors = tensors_of(rnn)
    rnn._check_input(x, next(iter(tensors.values())).dtype)
    L, N = x.shape[:2]
    if steps is not None:
        if onnx.exporting():
            raise ValueError(
                "ONNX should get a plain RNN with lengths; dynamics, wiring and states= it has not"
            )
        check_lengths(steps, N, L)
        steps = None if all_whole(steps, L) else steps
    h_0 = first_states(rnn, hx, x, N, single)
    every, keep = states == "all", states != "last"
    drawn = draw(rnn, x, N)
    part = _steps_of_part(rnn, keep)
    if part is not None:
        asked = Sequences(copy.copy(rnn), steps, flags, drawn, part, every, keep)
        outputs, last = run_in_parts(asked, x, h_0, tensors)
    elif steps is not None:
        outputs, last = run_padded(rnn, tensors, x, h_0, steps, flags, drawn, every)
    else:
        outputs, last = run(rnn, tensors, x, h_0, None, flags, drawn, every)
    if single:
        outputs, last = [o.squeeze(1) for o in outputs], [h.squeeze(1) for h in last]
    elif first:
        outputs = [o.transpose(0, 1) for o in outputs]
    return _given(outputs, states), _last(rnn, last)


def _steps_of_part(rnn: "RNN", keep: bool) -> int | None:
    """How many steps to take at a time; None for all at once, as torch.func and a graph need it."""
    if transformed() or torch.compiler.is_compiling():
        return None
    if torch.is_grad_enabled():
        return rnn.checkpoint_every
    backward = rnn.bidirectional or rnn.wiring_or_plain.reverse
    return None if keep or backward else SHORT


def _packed(rnn: "RNN", packed: PackedSequence, hx: Any, states: str) -> tuple[Any, Any]:
    data, batch_sizes, order, back = packed
    if onnx.exporting():
        onnx.refuse_packed(batch_sizes)
    if rnn.checkpoint_every is not None and torch.is_grad_enabled():
        raise ValueError(
            "RNN: checkpoint_every goes with padded input and lengths, got packed input"
        )
    tensors = tensors_of(rnn)
    if data.dim() != 2:
        raise RuntimeError(f"RNN: packed input should have 2-D data, got {data.dim()}-D")
    rnn._check_input(data, next(iter(tensors.values())).dtype)
    N = int(batch_sizes[0]) if order is None else order.shape[0]
    h_0 = first_states(rnn, hx, data, N, False)
    if order is not None:
        h_0 = [h.index_select(1, order) for h in h_0]
    masks = draw(rnn, data, N)
    outputs, last = run(rnn, tensors, data, h_0, batch_sizes, Flags(), masks, states == "all")
    if back is not None:
        last = [h.index_select(1, back) for h in last]
    again = [PackedSequence(o, batch_sizes, order, back) for o in outputs]
    return _given(again, states), _last(rnn, last)


def _nested(rnn: "RNN", x: Tensor, hx: Any, states: str) -> tuple[Any, Any]:
    """Rows (N, j, H_in) of torch.nested's jagged layout, which are batch first by their nature."""
    if x.layout != torch.jagged or x.dim() != 3 or not isinstance(x.shape[2], int):
        raise ValueError(
            "RNN: a nested input should be (N, j, H_in) of layout torch.jagged, got "
            f"{tuple(x.shape)} of {x.layout}"
        )
    nested: Any = x  # what torch.nested adds is not in the class's annotations
    values, offsets, given = nested.values(), nested.offsets(), nested.lengths()
    lengths = offsets.diff() if given is None else given
    L = int(lengths.max()) if len(lengths) else 0
    plan = packing(lengths, L, starts=offsets[:-1])
    place = plan.place.to(values.device)
    order = plan.order.to(values.device)
    packed = PackedSequence(values.index_select(0, place), plan.batch_sizes, order, order.argsort())
    found, h_n = _packed(rnn, packed, hx, states)

    def unpacked(output: PackedSequence) -> Tensor:
        rows = output.data.new_zeros(len(values), output.data.shape[1])
        rows = rows.index_copy(0, place, output.data)
        return torch.nested.nested_tensor_from_jagged(rows, offsets, given)

    if states == "all":
        return tuple(map(unpacked, found)), h_n
    return None if found is None else unpacked(found), h_n


def first_states(rnn: "RNN", hx: Any, x: Tensor, N: int, single: bool) -> list[Tensor]:
    """The first state of each layer, (D, N, H_out).

    Args:
        hx: what a call gave: None for zeros or what was learned, one tensor, or one a layer.
        x: the input, whose dtype and device they have.
        single: whether it is one sequence without a batch.
    """
    D, sizes = rnn._num_directions, rnn.hidden_sizes
    if hx is None:
        if not rnn.wiring_or_plain.learn_h_0:
            return [x.new_zeros(D, N, H) for H in sizes]
        return [getattr(rnn, f"h_0_l{k}").unsqueeze(1).expand(-1, N, -1) for k in range(len(sizes))]
    if isinstance(hx, Tensor):
        if single and hx.dim() != 2:
            raise RuntimeError(f"RNN: hx should be 2-D as the input is, got {hx.dim()}-D")
        if len(set(sizes)) > 1:
            raise ValueError(
                f"RNN: hx should be a tensor for each layer, since they have {list(sizes)} units"
            )
        whole = hx.unsqueeze(1) if single else hx
        rnn._check_hidden(whole, x, N)
        return list(whole.split(D))
    if not isinstance(hx, Sequence) or len(hx) != len(sizes):
        raise ValueError(f"RNN: hx should be {len(sizes)} tensors, one for each layer, got {hx!r}")
    found = []
    for k, (h, H) in enumerate(zip(hx, sizes, strict=True)):
        whole = h.unsqueeze(1) if single and h.dim() == 2 else h
        if tuple(whole.shape) != (D, N, H) or whole.dtype != x.dtype or whole.device != x.device:
            raise RuntimeError(
                f"RNN: hx[{k}] should be {(D, N, H)} of {x.dtype} on {x.device}, got "
                f"{tuple(whole.shape)} of {whole.dtype} on {whole.device}"
            )
        found.append(whole)
    return found


def _given(outputs: list[Any], states: str) -> Any:
    """What the caller asked for."""
    return None if states == "last" else tuple(outputs) if states == "all" else outputs[-1]


def _last(rnn: "RNN", last: list[Tensor]) -> Any:
    """h_n as torch.nn.RNN has it, or of each layer where their sizes differ."""
    if len(set(rnn.hidden_sizes)) > 1:
        return tuple(last)
    return last[0] if len(last) == 1 else torch.cat(last)
