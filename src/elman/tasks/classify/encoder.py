"""A frozen text encoder, BERT or its like: texts in, a vector for each token out."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elman.errors import SettingError
from elman.tasks.classify import features
from elman.tasks.classify.pretrained import (
    most_tokens,
    place_of,
    quiet,
    read_model,
    sha256_of,
    transformers_library,
    width_of,
)

_TOKENS, _ROWS = 8192, 64  # the most in a batch


@dataclass
class Encoder:
    """A text encoder that is used as it is.

    Args:
        name: directory of a model that transformers can read, or its id on the hub.
        sha256: over its weights, its config.json and the files of its tokenizer.
        width: of a token's vector.
        device: where it computes. Default: "cpu".
    """

    name: str
    sha256: str
    width: int
    device: str = "cpu"
    _loaded: tuple[Any, Any, int | None] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    @classmethod
    def open(cls, name: str, device: str = "cpu") -> "Encoder":
        """The encoder in a directory or, if there is no such directory, of an id on the hub.

        Raises:
            SettingError: transformers is not installed, or there is no encoder to be had by that
                name; says why.
        """
        library = transformers_library()
        if os.path.isdir(os.path.expanduser(name)):  # noqa: PTH111, PTH112 - any string will do
            name = str(Path(name).expanduser().resolve())
        place = place_of(name)
        return cls(name, sha256_of(name, place), width_of(library, name, place), device)

    def at(self, name: str) -> "Encoder":
        """The same encoder in another place.

        Raises:
            SettingError: there is none, or it is another.
        """
        found = Encoder.open(name, self.device)
        if found.sha256 != self.sha256:
            raise SettingError(
                f"encoder {name}: it is not the one the model learned with, its SHA-256 is another"
            )
        return found

    def vectors(self, texts: Sequence[str], cache: bool = True) -> list[np.ndarray]:
        """The last hidden state of each token of each text, special tokens among them.

        A text is cut after as many tokens as the encoder has positions for.

        Args:
            texts: N of them; equal ones are read once.
            cache: keep the vectors on disk, and take them from there if the same encoder has read
                the same texts before. For training, where texts come again. They lie in
                `~/.cache/elman/features` (`$XDG_CACHE_HOME` in place of `~/.cache`, `$ELMAN_CACHE`
                in place of both and of `elman`) and may be deleted at any time; without
                the right or the room to write there nothing is kept. Default: True.

        Returns:
            N arrays, float32 (L_i, width). Equal texts may share one; do not write to them.

        Raises:
            SettingError: the encoder is no longer there, or no longer the same.
        """
        whole = [text.encode("utf-8", "replace").decode() for text in texts]  # no half characters
        different = list(dict.fromkeys(whole))
        found = self._kept(different) if cache else self._computed(different)
        number = {text: k for k, text in enumerate(different)}
        return [found[number[text]] for text in whole]

    def _kept(self, texts: list[str]) -> list[np.ndarray]:
        """The vectors of different texts, by way of the disk."""
        transformers_library()
        versions = [metadata.version("torch"), metadata.version("transformers")]
        kind = torch.device(self.device).type
        key = features.key_of([self.sha256, str(self.width), kind, *versions, *texts])
        found = features.kept(key, len(texts), self.width)
        if found is not None:
            return found
        ids = self._tokens(texts)
        lengths = np.array([len(i) for i in ids], dtype=np.int64)
        try:
            with features.keeper(key, lengths, self.width) as keeper:
                for row, vectors in self._rows(ids):
                    keeper.put(row, vectors)
                return keeper.done(key)
        except OSError:  # of the cache: those of the encoder are SettingErrors by now
            return self._computed(texts)

    def _computed(self, texts: list[str]) -> list[np.ndarray]:
        """The vectors of different texts."""
        found = [np.zeros((0, self.width), np.float32) for _ in texts]
        for row, vectors in self._rows(self._tokens(texts)):
            found[row] = vectors.copy()
        return found

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        """The token ids of each text."""
        if not texts:
            return []
        _, tokenizer, most = self._load()
        with quiet():
            read = tokenizer(
                texts,
                truncation=most is not None,
                max_length=most,
                return_attention_mask=False,
                return_token_type_ids=False,
            )
        return [list(ids) for ids in read["input_ids"]]

    def _rows(self, ids: list[list[int]]) -> Iterator[tuple[int, np.ndarray]]:
        """The number and the vectors of each row that has tokens, rows of like length together."""
        for rows in _batches([len(i) for i in ids]):
            model, tokenizer, _ = self._load()
            longest = len(ids[rows[-1]])
            filler = tokenizer.pad_token_id or 0
            x = [ids[i] + [filler] * (longest - len(ids[i])) for i in rows]  # (N, L)
            seen = [[1] * len(ids[i]) + [0] * (longest - len(ids[i])) for i in rows]
            with torch.inference_mode(), quiet():
                state = model(
                    input_ids=torch.tensor(x, device=self.device),
                    attention_mask=torch.tensor(seen, device=self.device),
                ).last_hidden_state  # (N, L, width)
            for i, vectors in zip(rows, state.float().cpu().numpy(), strict=True):
                yield i, vectors[: len(ids[i])]

    def _load(self) -> tuple[Any, Any, int | None]:
        """The model, its tokenizer and the most tokens of a text, once they are asked for."""
        if self._loaded is None:
            library = transformers_library()
            try:
                place = place_of(self.name)
            except SettingError as error:
                raise SettingError(
                    f"{error}; `elman predict ... --encoder DIR` says where it is now"
                ) from None
            if sha256_of(self.name, place) != self.sha256:
                raise SettingError(
                    f"encoder {self.name}: it has changed, its SHA-256 is another; bring the old "
                    "one back (`elman predict ... --encoder DIR` says where it is) or train again"
                )
            width = width_of(library, self.name, place)
            if width != self.width:
                raise SettingError(
                    f"encoder {self.name}: its vectors are {width} wide, {self.width} is needed; "
                    "bring the old one back or train again"
                )
            model, tokenizer = read_model(library, self.name, place)
            self._loaded = model.to(self.device), tokenizer, most_tokens(model, tokenizer)
        return self._loaded

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}  # a copy loads it for itself


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """The numbers of the rows of each batch, short rows first, the longest of a batch last."""
    batch: list[int] = []
    for i in sorted((i for i, n in enumerate(lengths) if n), key=lengths.__getitem__):
        if batch and (len(batch) == _ROWS or (len(batch) + 1) * lengths[i] > _TOKENS):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
