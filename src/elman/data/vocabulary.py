"""Text to token ids."""

from collections import Counter
from collections.abc import Iterable, Sequence

from elman.errors import DataError

UNKNOWN = "<unk>"


class Vocabulary:
    """The characters a model knows, each with an id; every other is `<unk>`, id 0.

    A character is a Unicode code point.

    Args:
        tokens: those with the ids 1, 2, ... in this order, each once.

    >>> vocabulary = Vocabulary.of(["我爱你", "你好"])
    >>> len(vocabulary), vocabulary.encode("你们好")
    (5, [1, 0, 2])
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)
        self._ids = {token: i for i, token in enumerate(self.tokens, start=1)}
        if len(self._ids) != len(self.tokens) or UNKNOWN in self._ids:
            raise DataError("a vocabulary should list each token once, and <unk> not at all")

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Vocabulary":
        """Every character of the texts, the commonest first, equals in code point order."""
        counts = Counter(character for text in texts for character in text)
        return cls(sorted(counts, key=lambda c: (-counts[c], c)))

    def __len__(self) -> int:
        return len(self.tokens) + 1

    def encode(self, text: str) -> list[int]:
        """The id of each character."""
        return [self._ids.get(character, 0) for character in text]
