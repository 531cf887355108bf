"""Vocabulary: characters to ids and nothing lost on the way."""

import pytest

from elman.data import Vocabulary
from elman.data.vocabulary import tokens_of
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


ODD = [
    "",
    " ",
    "   leading and  double blanks ",
    "tabs\tand\nlines\r\nand\x0b\x0c\x85\u2028\u00a0\u3000 spaces",
    "你好, big world! it's 3.14 snake_case don't—stop… (yes)",
    "我爱你，妈妈。ひらがなカタカナー漢字 混ぜる ㄅㄆㄇ 々〇",
    "e\u0301 cafe\u0301 a\u0308\u0323 नमस्ते ภาษาไทย 한국어 אבג العربية",
    "😀👨‍👩‍👧‍👦🇨🇳❤️ 𠮷野家 𝒳 \U0003134a\U0010ffff",
    "<unk> <unk><unk> �",
    "\x00\x01\x1b[31m",
]


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("text", ODD)
def test_the_tokens_joined_are_the_text(level, text):
    tokens = tokens_of(text, level)
    assert "".join(tokens) == text
    assert "" not in tokens
    vocabulary = Vocabulary.of([text], level)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert 0 not in vocabulary.encode(text)


def test_any_character_at_all_is_in_a_word():
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x32000)]))
    assert "".join(tokens_of(text, "word")) == text
    spaced = " ".join(text[:20_000])
    assert "".join(tokens_of(spaced, "word")) == spaced


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the cat sat", ["the", " cat", " sat"]),
        ("the  cat\n sat", ["the", " ", " cat", "\n", " sat"]),
        ("a,b (c)", ["a", ",", "b", " (", "c", ")"]),
        ("x_1 = 3.5", ["x_1", " =", " 3", ".", "5"]),
        ("我爱Python 3吗", ["我", "爱", "Python", " 3", "吗"]),
        ("カナ かな 漢", ["カ", "ナ", " ", "か", "な", " ", "漢"]),
        ("𠮷野", ["𠮷", "野"]),
    ],
)
def test_words(text, words):
    assert tokens_of(text, "word") == words


def test_bare_words():
    vocabulary = Vocabulary.of(["the cat\n the  dog"], "word", bare=True)
    assert vocabulary.tokens == ["the", "cat", "dog"]
    assert vocabulary.encode("dog cat\tcow") == [3, 2, 0]


def test_the_commonest_are_kept():
    texts = ["aaabbc", "abcd"]  # 4 a, 3 b, 2 c, 1 d
    assert Vocabulary.of(texts, most=2).tokens == ["a", "b"]
    assert Vocabulary.of(texts, most=100).tokens == ["a", "b", "c", "d"]
    assert Vocabulary.of(texts, least=2).tokens == ["a", "b", "c"]
    assert Vocabulary.of(texts, most=2, least=3).tokens == ["a", "b"]
    assert Vocabulary.of(texts, most=2, least=4).tokens == ["a"]
    assert Vocabulary.of(["ba"], most=1).tokens == ["a"]  # equals: the lower code point
    assert Vocabulary.of(texts, least=9).encode("ab") == [0, 0]


def test_what_is_not_known_is_shown_as_such():
    vocabulary = Vocabulary.of(["我爱你"])
    assert vocabulary.decode(vocabulary.encode("我恨你🤖")) == "我\ufffd你\ufffd"
    assert vocabulary.decode([]) == ""
    assert vocabulary.decode(iter([0])) == "\ufffd"


def test_the_level_stays_with_it():
    vocabulary = Vocabulary.of(["so long, so well"], "word")
    assert vocabulary.tokens == [" long", " so", " well", ",", "so"]
    again = Vocabulary(vocabulary.tokens, "word")
    assert again.encode("so well, so so") == vocabulary.encode("so well, so so") == [5, 3, 4, 2, 2]
    assert Vocabulary(vocabulary.tokens).encode("so") == [0, 0]
