"""A frozen text encoder, BERT or its like: texts in, a vector for each token out.

It is read through the package transformers, which is imported when an encoder is first used.
Weights come from safetensors files only, and no code that lies beside them is run.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from textwrap import shorten
from types import ModuleType
from typing import Any

import numpy as np
import torch

from elman.errors import SettingError
from elman.tasks.classify import features

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
# the files that say how an encoder reads, besides config.json and the weights
_READING = re.compile(
    r"(tokenizer|vocab|merges|special_tokens|added_tokens|adapter|entity_vocab|bpe)"
    r".*\.(json|txt|codes|safetensors)|.*\.model"
)
_DOWNLOADED = ["*.json", "*.txt", "*.model", "*.codes", "model*.safetensors"]
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
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
        library = _library()
        if os.path.isdir(os.path.expanduser(name)):  # noqa: PTH111, PTH112 - any string will do
            name = str(Path(name).expanduser().resolve())
        place = _place(name)
        return cls(name, _sha256(name, place), _width(library, name, place), device)

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
        _library()
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
        with _quiet():
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
            with torch.inference_mode(), _quiet():
                state = model(
                    input_ids=torch.tensor(x, device=self.device),
                    attention_mask=torch.tensor(seen, device=self.device),
                ).last_hidden_state  # (N, L, width)
            for i, vectors in zip(rows, state.float().cpu().numpy(), strict=True):
                yield i, vectors[: len(ids[i])]

    def _load(self) -> tuple[Any, Any, int | None]:
        """The model, its tokenizer and the most tokens of a text, once they are asked for."""
        if self._loaded is None:
            library = _library()
            try:
                place = _place(self.name)
            except SettingError as error:
                raise SettingError(
                    f"{error}; `elman predict ... --encoder DIR` says where it is now"
                ) from None
            if _sha256(self.name, place) != self.sha256:
                raise SettingError(
                    f"encoder {self.name}: it has changed, its SHA-256 is another; bring the old "
                    "one back (`elman predict ... --encoder DIR` says where it is) or train again"
                )
            width = _width(library, self.name, place)
            if width != self.width:
                raise SettingError(
                    f"encoder {self.name}: its vectors are {width} wide, {self.width} is needed; "
                    "bring the old one back or train again"
                )
            model, tokenizer = _read(library, self.name, place)
            self._loaded = model.to(self.device), tokenizer, _most_tokens(model, tokenizer)
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


def _library() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        why = "" if isinstance(error, ModuleNotFoundError) else f" ({_line(error)})"
        raise SettingError(
            f"encoder: it is read with transformers{why}; pip install 'elman[encoder]'"
        ) from None
    return transformers


def _place(name: str) -> Path:
    """The directory an encoder lies in, downloaded if need be."""
    if os.path.isdir(name):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        return Path(name)
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise SettingError(f"encoder {name}: no such directory")
    from huggingface_hub import snapshot_download

    try:
        with _quiet():
            return Path(snapshot_download(name, allow_patterns=_DOWNLOADED))
    except Exception as error:  # noqa: BLE001 - the hub's errors, and those of the web below it
        raise SettingError(
            f"encoder {name}: no such directory, and not to be had from the hub "
            f"({type(error).__name__}: {_line(error)})"
        ) from None


def _sha256(name: str, place: Path) -> str:
    """Over the names and the contents of the files that make an encoder."""
    try:
        files = {"config.json", *_weight_files(name, place)}
        files |= {file.name for file in place.iterdir() if _READING.fullmatch(file.name)}
        total = hashlib.sha256()
        for file in sorted(files):
            one = hashlib.sha256()
            with (place / file).open("rb") as content:
                while piece := content.read(1 << 20):
                    one.update(piece)
            total.update(f"{one.hexdigest()}  {file}\n".encode())
    except OSError as error:
        lost = Path(error.filename or place).name
        raise SettingError(f"encoder {name}: {lost} cannot be read: {error.strerror}") from None
    return total.hexdigest()


def _weight_files(name: str, place: Path) -> set[str]:
    if (place / _WEIGHTS).is_file():
        return {_WEIGHTS}
    if (place / _INDEX).is_file():
        try:
            parts = set(json.loads((place / _INDEX).read_bytes())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            parts = {""}
        if not all(isinstance(part, str) and Path(part).name == part != "" for part in parts):
            raise SettingError(f"encoder {name}: {_INDEX} does not list the files of the weights")
        return {_INDEX, *parts}
    if not (place / "config.json").is_file():
        raise SettingError(f"encoder {name}: config.json is missing; not a model of transformers")
    if any(place.glob("pytorch_model*.bin")):
        raise SettingError(
            f"encoder {name}: its weights are a pickle, which elman never opens; where you trust "
            "them, convert them with transformers: AutoModel.from_pretrained(DIR)"
            ".save_pretrained(DIR, safe_serialization=True)"
        )
    raise SettingError(f"encoder {name}: {_WEIGHTS} is missing")


def _width(library: ModuleType, name: str, place: Path) -> int:
    try:
        with _quiet():
            config = library.AutoConfig.from_pretrained(place, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - whatever may be wrong with a config.json
        raise SettingError(f"encoder {name}: config.json: {_line(error)}") from None
    both = getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False)
    width = getattr(config, "hidden_size", None)
    if both or type(config) not in library.MODEL_FOR_MASKED_LM_MAPPING or type(width) is not int:
        raise SettingError(
            f"encoder {name}: a text encoder such as BERT is needed, got {config.model_type!r}"
        )
    if getattr(config, "transformers_weights", None):
        raise SettingError(
            f"encoder {name}: config.json has the weights in a file of another name "
            f"(transformers_weights); {_WEIGHTS} is needed"
        )
    return width


def _read(library: ModuleType, name: str, place: Path) -> tuple[Any, Any]:
    """The model, in float32 and at rest, and its tokenizer."""
    try:
        # random numbers for parts that are not used must not change what comes after
        with _quiet(), torch.random.fork_rng(devices=[]):
            tokenizer = library.AutoTokenizer.from_pretrained(place, trust_remote_code=False)
            model, facts = library.AutoModel.from_pretrained(
                place, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
    except Exception as error:  # noqa: BLE001 - tokenizers raises plain Exception
        raise SettingError(f"encoder {name}: it cannot be loaded: {_line(error)}") from None
    known = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > known:
        raise SettingError(
            f"encoder {name}: its tokenizer has {len(tokenizer)} tokens, its model vectors for "
            f"{known}; give the tokenizer that belongs to it"
        )
    if lost := sorted(key for key in facts["missing_keys"] if "pooler" not in key):
        raise SettingError(f"encoder {name}: its weights lack {lost[0]}")
    return model.float().eval().requires_grad_(False), tokenizer


def _most_tokens(model: Any, tokenizer: Any) -> int | None:
    """How many tokens there are positions for; None if any number."""
    limits = [tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None)]
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa and its kin count positions from the padding's place on
            before = 0 if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - before)
    known = [limit for limit in limits if isinstance(limit, int) and 0 < limit < 10**9]
    return min(known, default=None)


@contextmanager
def _quiet() -> Iterator[None]:
    """No notes and no progress bars of transformers and the hub, which otherwise go as before."""
    import huggingface_hub.utils as hub
    from transformers.utils import logging

    notes = [(of, of.get_verbosity()) for of in (logging, hub.logging)]
    bars, hub_bars = logging.is_progress_bar_enabled(), not hub.are_progress_bars_disabled()
    with warnings.catch_warnings():
        # where an environment variable rules the hub's bars, setting them gives a warning
        warnings.filterwarnings("ignore", message="Cannot (dis|en)able progress bars")
        try:
            for of, _ in notes:
                of.set_verbosity(50)
            logging.disable_progress_bar()
            yield
        finally:
            for of, level in notes:
                of.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
            (hub.enable_progress_bars if hub_bars else hub.disable_progress_bars)()


def _line(error: Exception) -> str:
    return shorten(str(error), 160, placeholder=" ...")
