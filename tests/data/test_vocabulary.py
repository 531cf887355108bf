"""Vocabulary: characters to ids and nothing lost on the way."""

import pytest

from elman.data import Vocabulary
from elman.errors import DataError


def test_the_commonest_first_and_equals_in_code_point_order():
    assert Vocabulary.of(["bca", "cb", "c"]).tokens == ["c", "b", "a"]
    assert Vocabulary.of(["病人", "人病"]).tokens == ["人", "病"]


def test_unknown_characters_are_zero():
    vocabulary = Vocabulary.of(["我爱你"])
    assert vocabulary.tokens == ["你", "我", "爱"]
    assert vocabulary.encode("爱X你") == [3, 0, 1]
    assert [vocabulary.encode(c) for c in vocabulary.tokens] == [[1], [2], [3]]
    assert vocabulary.encode("他们") == [0, 0]
    assert vocabulary.encode("") == []
    assert len(vocabulary) == 4


def test_a_character_is_a_code_point():
    text = "𠮷e\u0301😀"  # outside the basic plane, an accent of its own, an emoji
    vocabulary = Vocabulary.of([text])
    assert sorted(vocabulary.tokens) == sorted(text)
    assert sorted(vocabulary.encode(text)) == [1, 2, 3, 4]


def test_nothing_at_all():
    assert Vocabulary.of([]).encode("a") == [0]
    assert len(Vocabulary.of(["", ""])) == 1


def test_its_tokens_make_it_again():
    vocabulary = Vocabulary.of(["the cat", "sat on the mat"])
    again = Vocabulary(vocabulary.tokens)
    assert again.encode("the mat") == vocabulary.encode("the mat")


@pytest.mark.parametrize("tokens", [["a", "b", "a"], ["a", "<unk>"]])
def test_tokens_that_cannot_be(tokens):
    with pytest.raises(DataError, match="each token once, and <unk> not at all"):
        Vocabulary(tokens)
