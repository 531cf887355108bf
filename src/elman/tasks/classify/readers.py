"""What a classifier reads: text, numbers, or a text encoder's vectors, made fit for the network.

A reader is made from the inputs to learn from (`reader_for`), turns inputs into token ids or
vectors, and is saved with the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from elman.data import Vocabulary, pad
from elman.errors import DataError
from elman.tasks.classify.encoder import Encoder
from elman.tasks.classify.inputs import as_sequences, as_texts
from elman.tasks.config import ClassifierConfig
from elman.tasks.documents import (
    CONFIG,
    VOCABULARY,
    Documents,
    read_scaling,
    read_vocabulary,
)
from elman.tasks.onnx.ports import Port
from elman.tasks.settings import ClassifierSettings

# wide vectors are brought to the length of an embedding's, 8: where each number of 768 has a spread
# of 1, as an encoder's have, the states would begin saturated
_LENGTH = 8.0
_FAR = 1e30  # spreads from the mean; more is as much to a network, and float32 goes to 3e38

Encoded = list[list[int]] | list[np.ndarray]


@dataclass(frozen=True)
class TextReader:
    """Texts as token ids."""

    vocabulary: Vocabulary
    kind = "text"

    @property
    def vocab_size(self) -> int | None:
        """How many ids there are."""
        return len(self.vocabulary)

    @property
    def input_size(self) -> int | None:
        """Free: the size of the embedding."""
        return None

    def encode(self, X: Sequence[Any], keep: bool = False) -> Encoded:
        """The ids of each text."""
        return [self.vocabulary.encode(text) for text in as_texts(X)]

    def port(self) -> Port:
        """The same for ONNX."""
        says = "token ids: 1 for the first of vocab.json, and so on, 0 for every other"
        return Port("input", "int64", ("N", "L"), says, most=len(self.vocabulary) - 1)

    def describe(self) -> str:
        """What it gives the network."""
        return "characters" if self.vocabulary.level == "char" else "words"

    def facts(self) -> dict[str, Any]:
        """For config.json."""
        return {"kind": self.kind}

    def documents(self) -> dict[str, Any]:
        """For files of their own."""
        return {"vocab.json": {"tokens": self.vocabulary.tokens}}


@dataclass(frozen=True)
class NumberReader:
    """Sequences of F numbers, each brought to mean 0 and spread 1.

    Attributes:
        mean, scale: of each of the F, over all steps learned from.
    """

    mean: np.ndarray
    scale: np.ndarray
    kind = "numbers"

    @property
    def vocab_size(self) -> int | None:
        """None: there are no tokens."""
        return None

    @property
    def input_size(self) -> int | None:
        """F."""
        return len(self.mean)

    def encode(self, X: Sequence[Any], keep: bool = False) -> Encoded:
        """Each sequence scaled, float32 (L, F)."""
        return [
            np.clip((sequence - self.mean) / self.scale, -_FAR, _FAR).astype(np.float32)
            for sequence in as_sequences(X, len(self.mean))
        ]

    def port(self) -> Port:
        """The same for ONNX."""
        says = f"(value - mean) / scale, those of scaling.json{_in_words(len(self.mean))}"
        return Port("input", "float32", ("N", "L", len(self.mean)), says)

    def describe(self) -> str:
        """What it gives the network."""
        return "numbers" if len(self.mean) == 1 else f"{len(self.mean)} numbers a step"

    def facts(self) -> dict[str, Any]:
        """For config.json."""
        return {"kind": self.kind}

    def documents(self) -> dict[str, Any]:
        """For files of their own."""
        return {"scaling.json": {"mean": self.mean.tolist(), "scale": self.scale.tolist()}}


@dataclass(frozen=True)
class EncoderReader:
    """Texts as the token vectors of a frozen encoder."""

    encoder: Encoder
    kind = "encoder"

    @property
    def vocab_size(self) -> int | None:
        """None: the encoder has its own."""
        return None

    @property
    def input_size(self) -> int | None:
        """The width of the vectors."""
        return self.encoder.width

    def encode(self, X: Sequence[Any], keep: bool = False) -> Encoded:
        """The vectors of each text, float32 (L, width); `keep` for texts that will come again."""
        return self.encoder.vectors(as_texts(X), cache=keep)

    def port(self) -> Port:
        """The same for ONNX."""
        width = self.encoder.width
        says = f"token vectors of the encoder{_in_words(width)}"
        return Port("input", "float32", ("N", "L", width), says, spread=_factor(width))

    def describe(self) -> str:
        """What it gives the network."""
        return f"token vectors of {Path(self.encoder.name).name}, {self.encoder.width} wide"

    def facts(self) -> dict[str, Any]:
        """For config.json."""
        return {"kind": self.kind, "sha256": self.encoder.sha256, "width": self.encoder.width}

    def documents(self) -> dict[str, Any]:
        """None: the encoder stays where it is."""
        return {}


def batch_of(encoded: Encoded) -> tuple[Tensor, Tensor]:
    """A batch for the network: what a reader made of N inputs, filled up, and the lengths (N,).

    Vectors wider than 64 are scaled by 8/√width.
    """
    x, lengths = pad(encoded)
    if x.dim() == 3 and (factor := _factor(x.shape[2])) < 1:
        x *= factor
    return x, lengths


def _factor(width: int) -> float:
    """What vectors of that width are multiplied by."""
    return _LENGTH / width**0.5 if width > _LENGTH**2 else 1.0


def _in_words(width: int) -> str:
    return f", times {_LENGTH:.0f}/√{width}" if _factor(width) < 1 else ""


Reader = TextReader | NumberReader | EncoderReader


def reader_for(X: Sequence[Any], settings: ClassifierSettings) -> Reader:
    """The reader of inputs like `X`, fitted to them."""
    if settings.encoder is not None:
        return EncoderReader(Encoder.open(settings.encoder, settings.device))
    if isinstance(X[0], str):
        return TextReader(Vocabulary.of(X, settings.level, bare=settings.level == "word"))
    steps = np.concatenate(as_sequences(X))
    mean, spread = steps.mean(0), steps.std(0)
    changes = (steps.max(0) > steps.min(0)) & (spread > 0)  # rounding alone gives some spread
    return NumberReader(mean, np.where(changes, spread, 1.0))


def restored_reader(
    documents: Documents, config: ClassifierConfig, settings: ClassifierSettings
) -> Reader:
    """The reader that was saved with a model."""
    kind = config.reader.get("kind")
    if kind == "text":
        try:
            tokens = read_vocabulary(documents, config)
            return TextReader(Vocabulary(tokens, settings.level, settings.level == "word"))
        except DataError as error:
            raise documents.damaged(VOCABULARY, str(error)) from None
    if kind == "numbers":
        mean, scale = read_scaling(documents, config)
        return NumberReader(mean, scale)
    if kind == "encoder" and settings.encoder is not None:
        sha256, width = config.reader.get("sha256"), config.reader.get("width")
        if isinstance(sha256, str) and type(width) is int and 1 <= width <= 16384:
            return EncoderReader(Encoder(settings.encoder, sha256, width))
    raise documents.damaged(CONFIG, f"it has no reader of the kind {kind!r}")
