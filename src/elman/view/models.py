"""How a network without a task reads one input: layers, cells and the classic models."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.models import ConcatRNN, LanguageModel, SequenceClassifier, SequenceRegressor
from elman.nn import RNN, RNNCell
from elman.view import outputs
from elman.view.chains import Loss, half_square
from elman.view.reading import Reading, Step, as_used, shown
from elman.view.stack import Stack, plain, stack_of

_ROWS = 64  # beginnings of a sequence that are read at once
Head = tuple[Tensor, Tensor | None]
#: The task, what is said from a step on, L, and what L is.
_Job = tuple[str, Callable[[int], dict[str, Any] | None], Loss, dict[str, Any]]


def reading_of(
    model: nn.Module, x: Any, h_0: Tensor | None, row: int, labels: Sequence[str] | None
) -> Reading:
    """Any of the models that are known, reading one row of its input.

    Args:
        model: an RNN or RNNCell of elman's or torch's, or one of `elman.models`.
        x: as the model takes it, or one row of that: vectors (L, F), or token ids (L,).
        h_0: the state to begin with, as the model takes it. None for zeros.
        row: which row of a batch.
        labels: of the L steps. None for the numbers or ids themselves.
    """
    x = torch.as_tensor(x)
    rnn, embedding = _inside(model)
    tokens = embedding is not None
    one = _one_row(model, rnn, x, row, tokens)
    L = len(one)
    if not L:
        raise ValueError(f"x should have at least one step, got the shape {tuple(x.shape)}")
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
    state = _first(model, h_0, stack, row, x.dim() < (2 if tokens else 3))
    steps = [Step(str(label)) for label in labels]
    inputs = "embedding" if tokens else "numbers"
    return _with_head(model, rnn, stack, vectors.float(), state, steps, inputs, one)


def _inside(model: nn.Module) -> tuple[nn.Module, nn.Embedding | None]:
    """The recurrent part, and the embedding before it."""
    if isinstance(model, (SequenceClassifier, LanguageModel)):
        return model.rnn, model.embedding
    return (model.rnn, None) if isinstance(model, SequenceRegressor) else (model, None)


def _one_row(model: nn.Module, rnn: Any, x: Tensor, row: int, tokens: bool) -> Tensor:
    """(L, F), or (L,) of ids."""
    rank = 1 if tokens else 2
    x = x.detach().cpu()
    if x.dim() == rank:
        return x if tokens else x.float()
    if x.dim() != rank + 1:
        what = "token ids (L,) or (N, L)" if tokens else "vectors, (L, F) or a batch of them"
        raise ValueError(f"x should be {what}, got the shape {tuple(x.shape)}")
    batch_first = tokens or bool(getattr(rnn, "batch_first", False))
    rows = x if batch_first else x.transpose(0, 1)
    if not 0 <= row < len(rows):
        raise ValueError(f"row should be from 0 to {len(rows) - 1}, got {row}")
    return rows[row] if tokens else rows[row].float()


def _labels(x: Tensor) -> list[str]:
    if x.shape[1] == 1:
        return [shown(value) for value in x[:, 0].tolist()]
    if ((x == 0) | (x == 1)).all() and (x.sum(1) == 1).all():  # one-hot: which one
        return [str(k) for k in x.argmax(1).tolist()]
    return [str(t + 1) for t in range(len(x))]


def _first(model: nn.Module, h_0: Tensor | None, stack: Stack, row: int, unbatched: bool) -> Tensor:
    """(D·layers, H) of the state as the model takes it."""
    expected = (len(stack.parts), stack.hidden_size)
    if h_0 is None:
        return torch.zeros(expected)
    state = plain(torch.as_tensor(h_0))
    cell = isinstance(model, (RNNCell, nn.RNNCell, ConcatRNN))
    if cell:  # (N, H) or (H,)
        state = state.reshape(-1, stack.hidden_size)[row if state.dim() == 2 else 0][None]
    elif state.dim() == 3:
        state = state[:, row]
    if tuple(state.shape) != expected:
        raise ValueError(f"h_0 should be {expected} for one row, got {tuple(state.shape)}")
    return state


def _with_head(
    model: Any, rnn: Any, stack: Stack, x: Tensor, h_0: Tensor, steps: list[Step], inputs: str,
    raw: Tensor,
) -> Reading:  # fmt: skip
    """The reading, with what the model says of the states."""
    states = _run(rnn, stack, x, h_0)
    if isinstance(model, (RNN, nn.RNN, RNNCell, nn.RNNCell)):
        job: _Job = "layer", lambda first: None, half_square, {"kind": "square"}
    else:
        job = _job(model, stack, x, h_0, states, raw)
    task, said, loss, facts = job
    return Reading(
        task, _one_line(model), stack, x, h_0, steps, inputs, loss, facts,
        said, states, concat=isinstance(model, ConcatRNN),
    )  # fmt: skip


def _job(model: Any, stack: Stack, x: Tensor, h_0: Tensor, states: Tensor, raw: Tensor) -> _Job:
    """What a network with a head does."""
    if isinstance(model, ConcatRNN):
        before = torch.cat([h_0, states[:-1]])
        head = plain(model.i2o.weight), plain(model.i2o.bias)
        scores = functional.linear(torch.cat([x, before], 1), *head)
        log_probs = functional.log_softmax(scores.double(), dim=1)
        answer = int(log_probs[-1].argmax())

        def loss(of: list[list[Tensor]]) -> Tensor:  # y_T is made of x_T and h_{T-1}
            last = of[0][-2] if len(of[0]) > 1 else before[-1]
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
        return "classify", said, likeliest(head, answer), facts
    y = functional.linear(states, *head)
    if isinstance(model, SequenceRegressor):

        def half(of: list[list[Tensor]]) -> Tensor:
            return functional.linear(of[0][-1], *head).square().sum() / 2

        return "layer", lambda first: outputs.numbers(y[first:]), half, {"kind": "output"}
    log_probs = functional.log_softmax(y.double(), dim=1)
    answer, ids = int(log_probs[-1].argmax()), raw.tolist()
    names = [str(k) for k in range(log_probs.shape[1])]
    facts = {"kind": "token", "name": names[answer]}
    said_tokens = lambda t: outputs.tokens(log_probs[t:], names, ids[t + 1 :])  # noqa: E731
    return "generate", said_tokens, likeliest(head, answer), facts


def _run(rnn: Any, stack: Stack, x: Tensor, h_0: Tensor) -> Tensor:
    """The top layer's states from the model itself, in one go, (L, D·H)."""
    with as_used(rnn):
        like = next(rnn.parameters())
        x, state = x.to(like), h_0.to(like)
        if isinstance(rnn, (RNN, nn.RNN)):
            return plain(rnn(x, state)[0])
        h, found = state, []
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
    whole = f"{name}.{rnn!r}" if rnn is model else repr(rnn)
    before = "" if embedding is None else f"{embedding!r} → "
    after = "" if rnn is model else f" → {model.linear!r}"
    return f"{before}{whole}{after}"


def likeliest(head: Head, answer: int) -> Loss:
    """−log p of one answer, from the last state of each direction."""

    def loss(states: list[list[Tensor]]) -> Tensor:
        last = torch.cat([of[0] if k else of[-1] for k, of in enumerate(states)])
        return -functional.log_softmax(functional.linear(last, *head), dim=0)[answer]

    return loss


def prefixes(stack: Stack, x: Tensor, first: int) -> Tensor:
    """The last states when the reading ends at a step, from `first` on: (L - first, D·H)."""
    rnn, found = stack.whole(), []
    ends = torch.arange(first + 1, len(x) + 1)
    for lengths in ends.split(_ROWS):
        rows = x[: int(lengths[-1])].expand(len(lengths), -1, -1)
        with torch.no_grad():
            _, h_n = rnn(rows, lengths=lengths)
        found.append(h_n[-stack.directions :].transpose(0, 1).flatten(1))
    return torch.cat(found)
