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
from elman.tasks import rundir
from elman.tasks.classify.encoder import Encoder
from elman.tasks.classify.inputs import as_sequences, as_texts
from elman.tasks.config import ClassifierConfig
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
    if x.dim() == 3 and x.shape[2] > _LENGTH**2:
        x *= _LENGTH / x.shape[2] ** 0.5
    return x, lengths


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


def restored_reader(path: Path, config: ClassifierConfig, settings: ClassifierSettings) -> Reader:
    """The reader that was saved with a run."""
    kind = config.reader.get("kind")
    if kind == "text":
        try:
            tokens = rundir.read_vocabulary(path, config)
            return TextReader(Vocabulary(tokens, settings.level, settings.level == "word"))
        except DataError as error:
            raise rundir.damaged(path / "vocab.json", str(error)) from None
    if kind == "numbers":
        mean, scale = rundir.read_scaling(path, config)
        return NumberReader(mean, scale)
    if kind == "encoder" and settings.encoder is not None:
        sha256, width = config.reader.get("sha256"), config.reader.get("width")
        if isinstance(sha256, str) and type(width) is int and 1 <= width <= 16384:
            return EncoderReader(Encoder(settings.encoder, sha256, width))
    raise rundir.damaged(path / "config.json", f"it has no reader of the kind {kind!r}")
