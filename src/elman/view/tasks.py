"""How a trained task reads one input: the numbers that `predict` would work with."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from elman.data import Series
from elman.data.vocabulary import UNKNOWN, tokens_of
from elman.errors import DataError
from elman.tasks import Classifier, Forecaster, Generator
from elman.tasks.classify.readers import EncoderReader, TextReader, batch_of
from elman.tasks.forecast.inputs import as_series
from elman.tasks.generate.corpus import ids_of
from elman.view import outputs
from elman.view.chains import Top
from elman.view.models import last_output, last_states, likeliest, prefixes
from elman.view.reading import Reading, Step, as_used, shown
from elman.view.stack import plain, stack_of

if TYPE_CHECKING:
    from elman.models import LanguageModel, SequenceClassifier, SequenceRegressor


def classifying(model: Classifier, value: Any, title: str | None = None) -> Reading:
    """A classifier reads a text or a sequence of numbers, (L,) or (L, F).

    L is −log p of the class it answers.
    """
    reader, network = model.reader_, cast("SequenceClassifier", model.model_)
    encoded = reader.encode([value])
    if not len(encoded[0]):
        raise DataError("the input is empty; there is nothing to step through, give some text")
    x, _ = batch_of(encoded)
    with as_used(network):
        place = next(network.parameters()).device
        vectors = x.to(place) if network.embedding is None else network.embedding(x.to(place))
        top = plain(network.rnn(vectors)[0])[0]
    stack, head = stack_of(network.rnn), (plain(network.linear.weight), plain(network.linear.bias))
    x_0 = plain(vectors)[0]
    names = list(map(str, model.classes_.tolist()))
    answer = int(model.predict_proba([value])[0].argmax())

    def log_probs(first: int) -> Tensor:
        tops = prefixes(stack, x_0, first)
        return functional.log_softmax(functional.linear(tops, *head).double(), dim=1)

    return Reading(
        "classify",
        model.describe(),
        stack,
        x_0,
        stack.first(),
        _steps_of(reader, value, x_0),
        "embedding" if network.embedding is not None else _kind(reader),
        likeliest(head, answer, last_states),
        {"kind": "class", "name": names[answer]},
        lambda first: outputs.classes(log_probs(first), names),
        top,
        _advice(model),
    )


def _kind(reader: Any) -> str:
    return "vectors" if isinstance(reader, EncoderReader) else "numbers"


def _steps_of(reader: Any, value: Any, x: Tensor) -> list[Step]:
    if isinstance(reader, TextReader):
        vocabulary = reader.vocabulary
        pieces = tokens_of(value, vocabulary.level)
        if vocabulary.bare:
            pieces = [word for piece in pieces if (word := piece.strip())]
        ids = vocabulary.encode(value)
        return [Step(piece, known > 0) for piece, known in zip(pieces, ids, strict=True)]
    if isinstance(reader, EncoderReader):
        return [Step(str(t + 1)) for t in range(len(x))]
    raw = np.asarray(value, dtype=np.float64).reshape(len(x), -1)
    return [Step(", ".join(map(shown, row[:3])) + ("…" if len(row) > 3 else "")) for row in raw]


def generating(model: Generator, text: str) -> Reading:
    """A generator reads a text from the beginning of a line, as when it writes on from it.

    L is −log p of the token that it then finds likeliest.
    """
    network, vocabulary = cast("LanguageModel", model.model_), model.vocabulary_
    ids = ids_of(vocabulary, text, begin=True).tolist()
    with as_used(network):
        place = next(network.parameters()).device
        vectors = network.embedding(torch.tensor([ids], device=place))
        top = plain(network.rnn(vectors)[0])[0]
        log_probs = network(torch.tensor([ids], device=place))[0][0].double().cpu()
    stack, head = stack_of(network.rnn), (plain(network.linear.weight), plain(network.linear.bias))
    pieces = tokens_of("\n" + text, vocabulary.level)
    names = [UNKNOWN, *vocabulary.tokens]
    answer = int(log_probs[-1, 1:].argmax()) + 1  # <unk> is never written
    return Reading(
        "generate",
        model.describe(),
        stack,
        plain(vectors)[0],
        stack.first(),
        # a vocabulary without a line break still begins with one, as <unk>
        [Step(p, i > 0) for p, i in zip(pieces, ids, strict=True)],
        "embedding",
        likeliest(head, answer, last_output),
        {"kind": "token", "name": names[answer]},
        lambda t: outputs.tokens(log_probs[t:], names, ids[t + 1 :], first=1),
        top,
        _advice(model),
    )


def forecasting(model: Forecaster, values: Any, series: Series | None = None) -> Reading:
    """A forecaster reads a series, (T,) or (T, C), up to its end.

    L is ½‖y_T‖² of what the network then says: its correction of the naive forecast, in scales.
    """
    y = as_series(values)
    model.predict(y)  # which says how many rows it needs
    forecasts = model.forecasts(y)  # (T, H, C)
    network = cast("SequenceRegressor", model.model_)
    x = torch.from_numpy(model.frame_.inputs(y))
    with as_used(network):
        top = plain(network.rnn(x[None].to(next(network.parameters()).device))[0])[0]
    stack, linear = stack_of(network.rnn), network.linear
    head = plain(linear.weight), plain(linear.bias)
    labels = [str(t + 1) for t in range(len(y))] if series is None else series.labels
    horizon = model.settings_.horizon
    if series is None or (series.time is not None and len(y) < 2):
        following = [str(len(y) + k) for k in range(1, horizon + 1)]
    else:
        following = series.next_times(horizon)

    def loss(top: Top) -> Tensor:
        return functional.linear(top.outputs[-1], *head).square().sum() / 2

    def said(first: int) -> dict[str, Any]:
        return {
            "kind": "forecast",
            "columns": list(model.columns_),
            "values": y[first:],
            "forecasts": forecasts[first:].transpose(0, 2, 1),  # (L, C, H)
            "following": following,
        }

    return Reading(
        "forecast",
        model.describe(),
        stack,
        x,
        stack.first(),
        [Step(label) for label in labels],
        "changes",
        loss,
        {"kind": "correction"},
        said,
        top,
        _advice(model),
    )


def _advice(model: Any) -> dict[str, Any]:
    of = model.settings_
    return {"init": of.init, "clip": of.clip, "trained": True}


#: From a task to how it reads.
READERS: dict[type, Callable[..., Reading]] = {
    Classifier: classifying,
    Generator: generating,
    Forecaster: forecasting,
}
