"""Text to token ids and back."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from elman.errors import DataError

UNKNOWN = "<unk>"
# characters that are words by themselves: kana, bopomofo and the ideographs of the Chinese script
_ALONE = "\u3040-\u30ff\u3100-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_ALONE}]| ?[^\W{_ALONE}]+| ?[^\w\s]|\s")


def tokens_of(text: str, level: str = "char") -> list[str]:
    """The pieces of a text, which joined give it again.

    Args:
        text: any.
        level: "char" for its Unicode code points; "word" for its words, each with the blank
            before it, its punctuation marks and its other white space. Chinese characters and
            kana are words by themselves.

    >>> tokens_of("你好, big world!", "word")
    ['你', '好', ',', ' big', ' world', '!']
    """
    return list(text) if level == "char" else _WORD.findall(text)


class Vocabulary:
    """The tokens a model knows, each with an id; every other is `<unk>`, id 0.

    Args:
        tokens: those with the ids 1, 2, ... in this order, each once.
        level: "char" or "word", see `tokens_of`. Default: "char".
        bare: words without the blank before them, and no white space. Default: False.

    >>> vocabulary = Vocabulary.of(["我爱你", "你好"])
    >>> len(vocabulary), vocabulary.encode("你们好")
    (5, [1, 0, 2])
    >>> vocabulary.decode([3, 4, 1])
    '我爱你'
    """

    def __init__(self, tokens: Sequence[str], level: str = "char", bare: bool = False) -> None:
        self.tokens = list(tokens)
        self.level, self.bare = level, bare
        self._ids = {token: i for i, token in enumerate(self.tokens, start=1)}
        if len(self._ids) != len(self.tokens) or UNKNOWN in self._ids:
            raise DataError("a vocabulary should list each token once, and <unk> not at all")

    @classmethod
    def of(
        cls,
        texts: Iterable[str],
        level: str = "char",
        *,
        bare: bool = False,
        most: int | None = None,
        least: int = 1,
    ) -> "Vocabulary":
        """The tokens of the texts, the commonest first, equals in code point order.

        Args:
            texts: to be counted.
            level, bare: see the class.
            most: keep so many of the commonest. Default: all.
            least: keep those that occur at least so often. Default: 1.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(_pieces(text, level, bare))
        kept = [token for token, count in counts.items() if count >= least]
        return cls(sorted(kept, key=lambda t: (-counts[t], t))[:most], level, bare)

    def __len__(self) -> int:
        return len(self.tokens) + 1

    def encode(self, text: str) -> list[int]:
        """The id of each token of a text."""
        return [self._ids.get(token, 0) for token in _pieces(text, self.level, self.bare)]

    def unknown(self, text: str) -> list[str]:
        """The tokens of a text that are not known, in their order.

        >>> Vocabulary(["a"]).unknown("abac")
        ['b', 'c']
        """
        return [piece for piece in _pieces(text, self.level, self.bare) if piece not in self._ids]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; `<unk>` becomes �, the sign for a character not known."""
        return "".join(self.tokens[i - 1] if i else "\ufffd" for i in ids)


def _pieces(text: str, level: str, bare: bool) -> list[str]:
    pieces = tokens_of(text, level)
    return [word for piece in pieces if (word := piece.strip())] if bare else pieces
