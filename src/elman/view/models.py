"""How a network without a task reads one input: layers, cells and the classic models."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from elman.models import ConcatRNN, LanguageModel, SequenceClassifier, SequenceRegressor
from elman.nn import RNN, RNNCell
from elman.view import outputs
from elman.view.chains import Loss, Top, half_square
from elman.view.functions import Function
from elman.view.reading import Reading, Step, as_used, shown
from elman.view.stack import Stack, plain, stack_of

_ROWS = 64  # beginnings of a sequence that are read at once
Head = tuple[Tensor, Tensor | None]
#: The task, what is said from a step on, L, and what L is.
_Job = tuple[str, Callable[[int], dict[str, Any] | None], Loss, dict[str, Any]]


def reading_of(
    model: nn.Module, x: Any, h_0: Any, row: int, labels: Sequence[str] | None
) -> Reading:
    """Any of the models that are known, reading one row of its input.

    Args:
        model: an RNN or RNNCell of elman's or torch's, or one of `elman.models`.
        x: as the model takes it, or one row of that: vectors (L, F), or token ids (L,).
        h_0: the state to begin with, as the model takes it. None for zeros, or what it learned.
        row: which row of a batch.
        labels: of the L steps. None for the numbers or ids themselves.
    """
    rnn, embedding = _inside(model)
    tokens = embedding is not None
    one = _one_row(rnn, x, row, tokens)
    L = len(one)
    if not L:
        raise ValueError(f"x should have at least one step, got the shape {tuple(one.shape)}")
    _check_values(one, embedding)
    if labels is not None and len(labels) != L:
        raise ValueError(f"labels should be {L}, one for each step, got {len(labels)}")
    vectors = one if embedding is None else functional.embedding(one, plain(embedding.weight))
    if labels is None:
        labels = [str(i) for i in one.tolist()] if tokens else _labels(one)
    stack = stack_of(rnn)
    if vectors.shape[1] != stack.input_size:
        raise ValueError(
            f"x should have {stack.input_size} numbers at each step, got {vectors.shape[1]}"
        )
    state = _first(model, h_0, stack, row)
    steps = [Step(str(label)) for label in labels]
    inputs = "embedding" if tokens else "numbers"
    return _with_head(model, rnn, stack, vectors.float(), state, steps, inputs, one)


def _inside(model: nn.Module) -> tuple[nn.Module, nn.Embedding | None]:
    """The recurrent part, and the embedding before it."""
    if isinstance(model, (SequenceClassifier, LanguageModel)):
        return model.rnn, model.embedding
    return (model.rnn, None) if isinstance(model, SequenceRegressor) else (model, None)


def _one_row(rnn: Any, x: Any, row: int, tokens: bool) -> Tensor:
    """(L, F), or (L,) of ids."""
    rank = 1 if tokens else 2
    batch_first = tokens or bool(getattr(rnn, "batch_first", False))
    rows: Tensor | Sequence[Tensor]
    if isinstance(x, PackedSequence):
        padded, lengths = pad_packed_sequence(x, batch_first=True)
        rows = [one[:n] for one, n in zip(padded.detach().cpu(), lengths.tolist(), strict=True)]
    else:
        x = torch.as_tensor(x).detach().cpu()
        if x.is_nested:
            rows = x.unbind()
        elif x.dim() == rank:
            return x if tokens else x.float()
        elif x.dim() == rank + 1:
            rows = x if batch_first else x.transpose(0, 1)
        else:
            what = "token ids (L,) or (N, L)" if tokens else "vectors, (L, F) or a batch of them"
            raise ValueError(f"x should be {what}, got the shape {tuple(x.shape)}")
    if not 0 <= row < len(rows):
        raise ValueError(f"row should be from 0 to {len(rows) - 1}, got {row}")
    return rows[row] if tokens else rows[row].float()


def _check_values(x: Tensor, embedding: nn.Embedding | None) -> None:
    """Numbers that are numbers; or ids that there are."""
    if embedding is None:
        wrong = (~x.isfinite()).any(1).nonzero()
        if len(wrong):
            t = int(wrong[0])
            value = x[t][~x[t].isfinite()][0].item()
            raise ValueError(f"x should be finite numbers, got {value} at step {t + 1}")
        return
    if x.is_floating_point() or x.dtype == torch.bool:
        raise ValueError(f"x should be token ids, whole numbers, got {x.dtype}")
    wrong = ((x < 0) | (x >= embedding.num_embeddings)).nonzero()
    if len(wrong):
        t = int(wrong[0])
        most = embedding.num_embeddings - 1
        raise ValueError(f"x should be token ids from 0 to {most}, got {int(x[t])} at step {t + 1}")


def _labels(x: Tensor) -> list[str]:
    if x.shape[1] == 1:
        return [shown(value) for value in x[:, 0].tolist()]
    if ((x == 0) | (x == 1)).all() and (x.sum(1) == 1).all():  # one-hot: which one
        return [str(k) for k in x.argmax(1).tolist()]
    return [str(t + 1) for t in range(len(x))]


def _first(model: nn.Module, h_0: Any, stack: Stack, row: int) -> list[Tensor]:
    """Of one row, where each part begins, from a state as the model takes it."""
    if h_0 is None:
        return stack.first()
    D, sizes = stack.directions, [part.units for part in stack.parts]
    if isinstance(h_0, (list, tuple)):  # of each layer
        given = [plain(torch.as_tensor(h)) for h in h_0]
    elif isinstance(model, (RNNCell, nn.RNNCell, ConcatRNN)):  # (N, H) or (H,)
        state = plain(torch.as_tensor(h_0))
        given = [state.reshape(1, -1, sizes[0]) if state.dim() == 2 else state[None]]
    else:
        state = plain(torch.as_tensor(h_0))
        given = list(state.split(D)) if state.dim() > 1 else [state]
    rows = [h[:, row] if h.dim() == 3 else h for h in given]
    expected = [(D, H) for H in sizes[::D]]
    if [tuple(h.shape) for h in rows] != expected:
        one = len(set(sizes)) == 1 and not isinstance(h_0, (list, tuple))
        wanted = str((len(sizes), sizes[0])) if one else str(expected)
        got = torch.as_tensor(h_0).shape if one else [tuple(h.shape) for h in given]
        raise ValueError(f"h_0 should be {wanted} for one row, got {got}")
    return [h for of_layer in rows for h in of_layer]


def _with_head(
    model: Any, rnn: Any, stack: Stack, x: Tensor, h_0: list[Tensor], steps: list[Step],
    inputs: str, raw: Tensor,
) -> Reading:  # fmt: skip
    """The reading, with what the model says of the states."""
    top = _run(rnn, stack, x, h_0)
    if isinstance(model, (RNN, nn.RNN, RNNCell, nn.RNNCell)):
        job: _Job = "layer", lambda first: None, half_square, {"kind": "square"}
    else:
        job = _job(model, stack, x, h_0[0], top, raw)
    task, said, loss, facts = job
    return Reading(
        task, _one_line(model), stack, x, h_0, steps, inputs, loss, facts,
        said, top, concat=isinstance(model, ConcatRNN),
    )  # fmt: skip


def _job(model: Any, stack: Stack, x: Tensor, h_0: Tensor, top: Tensor, raw: Tensor) -> _Job:
    """What a network with a head does."""
    if isinstance(model, ConcatRNN):
        before = torch.cat([h_0[None], top[:-1]])
        head = plain(model.i2o.weight), plain(model.i2o.bias)
        scores = functional.linear(torch.cat([x, before], 1), *head)
        log_probs = functional.log_softmax(scores.double(), dim=1)
        answer = int(log_probs[-1].argmax())

        def loss(of: Top) -> Tensor:  # y_T is made of x_T and h_{T-1}
            last = of.outputs[-2] if len(of.outputs) > 1 else before[-1]
            scores = functional.linear(torch.cat([x[-1], last]), *head)
            return -functional.log_softmax(scores, dim=0)[answer]

        names = [str(k) for k in range(log_probs.shape[1])]
        facts = {"kind": "class", "name": names[answer]}
        return "classify", lambda t: outputs.classes(log_probs[t:], names), loss, facts
    head = plain(model.linear.weight), plain(model.linear.bias)
    if isinstance(model, SequenceClassifier):

        def said(first: int) -> dict[str, Any]:
            scores = functional.linear(prefixes(stack, x, first), *head).double()
            return outputs.classes(functional.log_softmax(scores, dim=1), names)

        names = [str(k) for k in range(len(head[0]))]
        answer = int(functional.linear(prefixes(stack, x, len(x) - 1), *head)[0].argmax())
        facts = {"kind": "class", "name": names[answer]}
        return "classify", said, likeliest(head, answer, last_states), facts
    y = functional.linear(top, *head)
    if isinstance(model, SequenceRegressor):

        def half(of: Top) -> Tensor:
            return functional.linear(of.outputs[-1], *head).square().sum() / 2

        return "layer", lambda first: outputs.numbers(y[first:]), half, {"kind": "output"}
    log_probs = functional.log_softmax(y.double(), dim=1)
    answer, ids = int(log_probs[-1].argmax()), raw.tolist()
    names = [str(k) for k in range(log_probs.shape[1])]
    facts = {"kind": "token", "name": names[answer]}
    said_tokens = lambda t: outputs.tokens(log_probs[t:], names, ids[t + 1 :])  # noqa: E731
    return "generate", said_tokens, likeliest(head, answer, last_output), facts


def _run(rnn: Any, stack: Stack, x: Tensor, h_0: list[Tensor]) -> Tensor:
    """The top layer's output from the model itself, in one go, (L, W).

    A network of two bytes is run in float32, with the same weights, as the page does.
    """
    with as_used(rnn):
        if next(rnn.parameters()).dtype.itemsize == 2:
            rnn = deepcopy(rnn).float()
        like = next(rnn.parameters())
        x, given = x.to(like), [h.to(like) for h in h_0]
        if isinstance(rnn, (RNN, nn.RNN)):
            return plain(rnn(x, stack.as_given(given))[0])
        h, found = given[0][None], []
        for x_t in x:
            h = rnn(x_t[None], h)
            h = h[1] if isinstance(rnn, ConcatRNN) else h
            found.append(h[0])
        return plain(torch.stack(found))


def _one_line(model: nn.Module) -> str:
    if isinstance(model, ConcatRNN):
        sizes = f"{model.input_size}, {model.hidden_size}, {model.output_size}"
        return f"ConcatRNN({sizes}, {model.nonlinearity})"
    rnn, embedding = _inside(model)
    name = type(model).__module__.partition(".")[0]
    whole = f"{name}.{_said(rnn)}" if rnn is model else _said(rnn)
    before = "" if embedding is None else f"{embedding!r} → "
    after = "" if rnn is model else f" → {model.linear!r}"
    return f"{before}{whole}{after}"


def _said(rnn: nn.Module) -> str:
    """As it prints itself, with what of its dynamics and wiring is not as ever."""
    said = repr(rnn)
    for of in (getattr(rnn, "dynamics", None), getattr(rnn, "wiring", None)):
        if of is not None:
            plain_ones = {f.name: f.default for f in fields(of)}
            own = [f"{n}={getattr(of, n)!r}" for n, v in plain_ones.items() if getattr(of, n) != v]
            said = said.replace(repr(of), f"{type(of).__name__}({', '.join(own)})")
    f = getattr(rnn, "nonlinearity", "")
    return said if isinstance(f, str) else said.replace(f"nonlinearity={f}", Function(f).name)


def last_states(top: Top) -> Tensor:
    """What a classifier's head reads."""
    return top.last


def last_output(top: Top) -> Tensor:
    """What a head reads that speaks at every step."""
    return top.outputs[-1]


def likeliest(head: Head, answer: int, read: Callable[[Top], Tensor]) -> Loss:
    """−log p of one answer, by a head that reads so."""

    def loss(top: Top) -> Tensor:
        return -functional.log_softmax(functional.linear(read(top), *head), dim=0)[answer]

    return loss


def prefixes(stack: Stack, x: Tensor, first: int) -> Tensor:
    """The last states when the reading ends at a step, from `first` on: (L - first, D·H)."""
    D, found = stack.directions, []
    ends = torch.arange(first + 1, len(x) + 1)
    for lengths in ends.split(_ROWS):
        rows = x[: int(lengths[-1]), None].expand(-1, len(lengths), -1)
        with torch.no_grad():
            _, h_n = stack.rnn(rows, lengths=lengths)
        last = h_n[-D:] if isinstance(h_n, Tensor) else h_n[-1]  # of each layer: (D, N, H)
        found.append(last.transpose(0, 1).flatten(1))
    return torch.cat(found)
