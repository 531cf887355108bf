"""The files of a text encoder: where they lie, what tells them from others, and reading them.

They are read through the package transformers, which is imported when an encoder is first used.
Weights come from safetensors files only, and no code that lies beside them is run.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from types import ModuleType
from typing import Any

import torch

from elman.errors import SettingError

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
# the files that say how an encoder reads, besides config.json and the weights
_READING = re.compile(
    r"(tokenizer|vocab|merges|special_tokens|added_tokens|adapter|entity_vocab|bpe)"
    r".*\.(json|txt|codes|safetensors)|.*\.model"
)
_DOWNLOADED = ["*.json", "*.txt", "*.model", "*.codes", "model*.safetensors"]
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def transformers_library() -> ModuleType:
    """The package, or an error that says how to install it."""
    try:
        import transformers
    except ImportError as error:
        why = "" if isinstance(error, ModuleNotFoundError) else f" ({_line(error)})"
        raise SettingError(
            f"encoder: it is read with transformers{why}; pip install 'elman[encoder]'"
        ) from None
    return transformers


def place_of(name: str) -> Path:
    """The directory an encoder lies in, downloaded if need be."""
    if os.path.isdir(name):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        return Path(name)
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise SettingError(f"encoder {name}: no such directory")
    from huggingface_hub import snapshot_download

    try:
        with quiet():
            return Path(snapshot_download(name, allow_patterns=_DOWNLOADED))
    except Exception as error:  # noqa: BLE001 - the hub's errors, and those of the web below it
        raise SettingError(
            f"encoder {name}: no such directory, and not to be had from the hub "
            f"({type(error).__name__}: {_line(error)})"
        ) from None


def sha256_of(name: str, place: Path) -> str:
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


def width_of(library: ModuleType, name: str, place: Path) -> int:
    """Of a token's vector, by config.json; a text encoder it must be."""
    try:
        with quiet():
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


def read_model(library: ModuleType, name: str, place: Path) -> tuple[Any, Any]:
    """The model, in float32 and at rest, and its tokenizer."""
    try:
        # random numbers for parts that are not used must not change what comes after
        with quiet(), torch.random.fork_rng(devices=[]):
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


def most_tokens(model: Any, tokenizer: Any) -> int | None:
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
def quiet() -> Iterator[None]:
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
