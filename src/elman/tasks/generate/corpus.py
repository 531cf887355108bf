"""A text to learn from: cut, counted, and as ids."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from elman.data import Vocabulary
from elman.data.decoding import half_a_character
from elman.errors import DataError
from elman.tasks.settings import GeneratorSettings

_MOST = {"char": 20_000, "word": 10_000}  # tokens of a vocabulary, unless said otherwise


def new_vocabulary(text: str, settings: GeneratorSettings) -> Vocabulary:
    """The tokens to know of a text.

    Raises:
        DataError: it has more characters than a text has, and nothing says that they are meant.
    """
    if settings.max_vocab is not None:
        return Vocabulary.of([text], settings.level, most=settings.max_vocab)
    most = _MOST[settings.level]
    if settings.level == "word":
        return Vocabulary.of([text], "word", most=most, least=2)
    if (different := len(set(text))) > most:
        raise DataError(
            f"the text has {different} different characters, more than {most}: is its encoding "
            f"right (--encoding)? If so, --max-vocab {most} keeps the commonest"
        )
    return Vocabulary.of([text])


def split_at_line(text: str, fraction: float) -> tuple[str, str]:
    r"""The text and its last part, about that share of it, cut at a line where one ends near.

    >>> split_at_line("one\ntwo\nthree\nfour", 0.25)
    ('one\ntwo\nthree\n', 'four')
    """
    held = max(1, round(len(text) * fraction))
    cut = len(text) - held
    cut = text.rfind("\n", max(0, cut - held // 4), cut) + 1 or cut
    return text[:cut], text[cut:]


def joined(X: Any) -> str:
    """One text of one or several.

    Raises:
        DataError: it is something else, or holds half a character.
    """
    if isinstance(X, (bytes, bytearray)) or not isinstance(X, Iterable):
        raise DataError(f"X should be a text or a list of texts, got {type(X).__name__}")
    if getattr(X, "ndim", 1) != 1:
        raise DataError("X should be one column of texts, got a table; pick the column")
    texts = [X] if isinstance(X, str) else list(X)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"X[{row}] should be a text, got {type(text).__name__}")
    text = "\n".join(texts)
    if half_a_character(text):
        raise DataError("the text holds half a character (a lone surrogate); decode it anew")
    return text


def ids_of(vocabulary: Vocabulary, text: str, begin: bool = False) -> np.ndarray:
    """The ids of a text, int64 (T,).

    Args:
        vocabulary: that knows them.
        text: any.
        begin: put a line break first: what comes stands at the beginning of a line. Where the
            vocabulary has none, it is `<unk>`. Default: False.
    """
    return np.array(vocabulary.encode("\n" + text if begin else text), dtype=np.int64)


def spelling_bits(vocabulary: Vocabulary, text: str) -> float:
    """Bits to say which the tokens are that are not known: 8 for each byte in UTF-8, and 8 to end.

    Without them a model would seem the better the fewer tokens it knows.

    >>> spelling_bits(Vocabulary(["a"]), "aba爱")  # 2 bytes for b and its end, 4 for 爱
    48.0
    """
    return sum(8.0 * (len(token.encode()) + 1) for token in vocabulary.unknown(text))


def unigram_bits(counts: np.ndarray, ids: np.ndarray) -> float:
    """Bits to tell all of `ids` by how common each token is in `counts`, one added to each.

    >>> round(unigram_bits(np.array([0, 2, 2]), np.array([1, 2])), 3)  # 3 of 7 each
    2.445
    """
    share = (counts + 1.0) / (counts + 1.0).sum()
    return float(-np.log2(share[ids]).sum())
