"""The layers of an `RNN` one above the other, where there is more to them than torch's say.

A plain layer does not come here: what is not used costs nothing.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from elman.nn.dynamics import Call, hidden
from elman.nn.flags import Flags, without_gaps
from elman.nn.masks import scaled_mask
from elman.ops import Norm
from elman.ops import layer as run_layer
from elman.ops.composed import in_one_piece
from elman.ops.layout import lengths_of, rows_of

if TYPE_CHECKING:
    from elman.nn.rnn import RNN


#: What a layer has learned or is given for good, by name.
Tensors = dict[str, Tensor]


def tensors_of(rnn: "RNN") -> Tensors:
    """Everything a call reads, once: a parametrised weight is computed at each reading."""
    found = {}
    for names in rnn._all_weights:
        for name in names:
            found[name] = getattr(rnn, name)
        if rnn.dynamics is not None:
            for name in rnn.dynamics.names(names[0].removeprefix("weight_ih")):
                found[name] = getattr(rnn, name)
    return found


class Drawn(NamedTuple):
    """The masks of one sequence for one layer, (1, N, features); None where nothing is dropped."""

    input: Tensor | None
    inside: list[Tensor | None]  # of each direction
    output: Tensor | None


def draw(rnn: "RNN", x: Tensor, N: int) -> list[Drawn]:
    """Every mask that is one for a whole sequence, so that its parts can share them."""
    wiring, D = rnn.wiring_or_plain, rnn._num_directions
    dropped = wiring.input_dropout or wiring.output_dropout
    if not rnn.training or not (dropped or rnn.dynamics_or_plain.recurrent_dropout):
        return [Drawn(None, [None] * D, None)] * rnn.num_layers
    drawn = []
    for k, H in enumerate(rnn.hidden_sizes):
        widths = rnn.width_below(k), rnn.width_above(k)
        rates = wiring.input_dropout, wiring.output_dropout
        below, above = (
            scaled_mask((1, N, width), rate, x) if rate else None
            for width, rate in zip(widths, rates, strict=True)
        )
        inside = [hidden(rnn.dynamics_or_plain, N, H, x) for _ in range(D)]
        drawn.append(Drawn(below, inside, above))
    return drawn


def run(
    rnn: "RNN",
    tensors: Tensors,
    x: Tensor,
    h_0: list[Tensor],
    batch_sizes: Tensor | None,
    flags: Flags,
    drawn: list[Drawn],
    every: bool,
) -> tuple[list[Tensor], list[Tensor]]:
    """All layers over a dense or packed sequence.

    Args:
        tensors: `tensors_of(rnn)`, read once for all parts of a sequence.
        x: (L, N, H_in) or (rows, H_in).
        h_0: of each layer, (D, N, H_out).
        flags: in the layout of x.
        drawn: of each layer.
        every: whether the outputs of all layers are wanted, not the last one's alone.

    Returns:
        The outputs that are wanted and the last states (D, N, H_out) of each layer.
    """
    wiring, D = rnn.wiring_or_plain, rnn._num_directions
    if flags.present is not None and not _passes_gaps(rnn, flags, [x, *h_0, *tensors.values()]):
        x = without_gaps(x, flags.present)
    turn = mirrored(batch_sizes, x) if wiring.reverse else None
    if turn is not None:
        x = x.index_select(0, turn)
        flags = flags._replace(left=flags.left_reverse)
        flags = flags.map(lambda t: t.index_select(0, turn))
    outputs, last = [], []
    for k in range(rnn.num_layers):
        if k and rnn.dropout:
            x = functional.dropout(x, rnn.dropout, rnn.training)
        below = times(x, drawn[k].input, batch_sizes)
        above, h_n = _layer(rnn, tensors, k, below, h_0[k], batch_sizes, flags, drawn[k].inside)
        above = times(merged(above, D, wiring.merge), drawn[k].output, batch_sizes)
        x = x + above if wiring.residual and x.shape == above.shape else above
        last.append(h_n)
        if every or k == len(rnn.hidden_sizes) - 1:
            outputs.append(x if turn is None else x.index_select(0, turn))
    return outputs, last


def _passes_gaps(rnn: "RNN", flags: Flags, given: list[Tensor]) -> bool:
    """Whether a gap changes nothing, whatever lies in it, so that the input need not be copied.

    So it is in the kernels where a gate of bools stands alone. Gradients would meet the input.
    """
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        return False
    alone = rnn.dynamics is None and rnn.wiring is None and flags.left is None
    return alone and not callable(rnn.nonlinearity) and in_one_piece(given)


def _layer(
    rnn: "RNN",
    tensors: Tensors,
    k: int,
    x: Tensor,
    h_0: Tensor,
    batch_sizes: Tensor | None,
    flags: Flags,
    inside: list[Tensor | None],
) -> tuple[Tensor, Tensor]:
    """One layer in its directions, with what its dynamics say."""
    dynamics, gates, norms = rnn.dynamics, [], []
    given: list[list[Tensor]] = []
    D, H = rnn._num_directions, rnn.hidden_sizes[k]
    for d, names in enumerate(rnn._all_weights[k * D : k * D + D]):
        weight_ih, weight_hh, *biases = (tensors[name] for name in names)
        suffix = f"_l{k}" + ("_reverse" if d else "")
        left = flags.left_reverse if d else flags.left
        call = Call(H, flags.present, left, inside[d])
        gates.append(rnn.dynamics_or_plain.gates(tensors, suffix, x, call, rnn.training))
        if dynamics is not None and dynamics.layer_norm:
            weight, bias = (tensors[f"norm_{of}{suffix}"] for of in ("weight", "bias"))
            norms.append(Norm(weight, bias))
        if len(biases) == 1:
            biases.append(torch.zeros_like(biases[0]))
        given.append([weight_ih, weight_hh, *biases])
    if dynamics is not None and dynamics.noise and rnn.training:
        x, given = noisy(x, given, dynamics.noise, H)
    bound = None if dynamics is None else dynamics.clip
    some = any(c is not None for between in gates for c in between)
    return run_layer(
        x, h_0, given, rnn.nonlinearity, batch_sizes, gates if some else (), bound, norms
    )


def noisy(
    x: Tensor, weights: list[list[Tensor]], sigma: float, H: int
) -> tuple[Tensor, list[list[Tensor]]]:
    """Noise for z as more input, which comes to each unit by a weight of one."""
    D = len(weights)
    noise = sigma * torch.randn(*x.shape[:-1], D * H, dtype=x.dtype, device=x.device)
    more = []
    for d, (weight_ih, *others) in enumerate(weights):
        to = torch.eye(H, D * H, dtype=weight_ih.dtype, device=weight_ih.device).roll(d * H, 1)
        more.append([torch.cat([weight_ih, to], 1), *others])
    return torch.cat([x, noise], -1), more


def merged(output: Tensor, D: int, merge: str) -> Tensor:
    """The directions, which lie side by side, joined."""
    if D == 1 or merge == "concat":
        return output
    forward, backward = output.chunk(2, -1)
    both = forward + backward
    return both if merge == "sum" else both / 2


def times(x: Tensor, mask: Tensor | None, batch_sizes: Tensor | None) -> Tensor:
    """A sequence with one mask a row for all its steps."""
    if mask is None:
        return x
    if batch_sizes is None:
        return x * mask
    _, row = rows_of(batch_sizes, x.shape[0])
    return x * mask[0].index_select(0, row.to(x.device))


def mirrored(batch_sizes: Tensor | None, x: Tensor) -> Tensor:
    """Where each step lies when every row is read from its own end; of dense rows, of x's steps."""
    if batch_sizes is None:
        return torch.arange(x.shape[0] - 1, -1, -1, device=x.device)
    step, row = rows_of(batch_sizes, x.shape[0])
    offset = batch_sizes.cumsum(0) - batch_sizes
    length = lengths_of(batch_sizes, row)
    return (offset[length - 1 - step] + row).to(x.device)
