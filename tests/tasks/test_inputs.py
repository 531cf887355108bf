"""Classifier: what it cannot learn from or be asked, and settings out of range."""

import math
from pathlib import Path

import numpy as np
import pytest

from elman import Classifier
from elman.errors import DataError, SettingError

BAD_SETTINGS = [
    ("embedding_size", 0), ("embedding_size", 2**40), ("hidden_size", -1), ("hidden_size", 1.5),
    ("hidden_size", "128"), ("hidden_size", True), ("num_layers", 0), ("num_layers", 1000),
    ("num_layers", None), ("nonlinearity", "swish"), ("nonlinearity", None),
    ("bidirectional", 1), ("bidirectional", "yes"), ("dropout", 1.0), ("dropout", -0.1),
    ("dropout", math.nan), ("dropout", "0.5"), ("token_dropout", 1), ("token_dropout", "0"),
    ("epochs", 0), ("epochs", 2.0), ("batch_size", 0), ("lr", 0), ("lr", math.inf),
    ("lr", math.nan), ("lr", -1e-3), ("lr", "0.1"), ("lr", 10**400),
    ("level", "byte"), ("level", None), ("encoder", 5), ("init", "zeros"),
    ("device", "gpu"), ("device", "cuda:x"), ("device", 0), ("device", None), ("weight_decay", -1),
    ("weight_decay", math.inf), ("label_smoothing", 1), ("clip", 0), ("clip", math.nan),
    ("clip", None), ("patience", 0), ("validation", 0), ("validation", 1), ("validation", [0.1]),
    ("random_state", -1), ("random_state", 2**32), ("random_state", 0.5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD_SETTINGS)
def test_a_setting_out_of_range(data, name, value):
    with pytest.raises(SettingError, match=rf"^Classifier: {name}: .*, got "):
        Classifier(**{name: value}).fit(*data)


@pytest.mark.parametrize(
    "change",
    [
        {"dropout": 0, "token_dropout": 0, "label_smoothing": 0, "weight_decay": 0},
        {"dropout": 0, "num_layers": 2},
        {"lr": 1, "clip": 10},
        {"random_state": 2**32 - 1},
        {"lr": np.float64(0.01)},
        {"batch_size": 1_000_000, "patience": 1_000_000},
    ],
    ids=str,
)
def test_a_setting_at_the_edge(data, small, change):
    model = Classifier(**(small | {"epochs": 1} | change)).fit(*data)
    assert len(model.predict(["头痛发"])) == 1


TEXTS = ["ab", "cd", "ef", "gh"]


@pytest.mark.parametrize(
    ("X", "y", "groups", "message"),
    [
        (TEXTS, ["a"] * 4, None, "only one class, 'a'; give rows of at least two"),
        (["ab", "", "x", "y"], list("abab"), None, r"X\[1\] is empty; leave the row out"),
        (None, list("abab"), None, "X should be a list of texts or of sequences of numbers, got N"),
        (Path("a.csv"), list("abab"), None, "X should be a list of texts .*, got PosixPath"),
        (list("abcd"), None, None, "y should be a list of labels, one for each row of X, got None"),
        ("abcd", list("abab"), None, r"X should be a list of texts, got one text; write \[text\]"),
        (["ab", 3, "x", "y"], list("abab"), None, r"X\[1\] should be a text, got int"),
        (["ab", None], list("ab"), None, r"X\[1\] should be a text, got NoneType"),
        ([b"ab", "x"], list("ab"), None, r"X\[0\] should be a text, got bytes"),
        (np.array([["a", "b"]] * 2), list("ab"), None, r"X\[0\] should be numbers"),
        (TEXTS, list("aba"), None, "y should have 4 values as X has, got 3"),
        (TEXTS, list("abab"), [1, 2], "groups should have 4 values as X has, got 2"),
        ([], [], None, "X is empty; give labelled texts"),
        (TEXTS, [0.5, 1.5, 0.5, 1.5], None, "y should hold strings, .* got 0.5"),
        (TEXTS, [None, "a", "b", "a"], None, "y should hold strings, .* got None"),
        (TEXTS, ["a", 1, "a", 1], None, r"y\[1\] should be of type str as y\[0\], got 1"),
        (TEXTS, [1, True, 0, 0], None, r"y\[1\] should be of type int as y\[0\], got True"),
        (["a", "\ud800"], list("ab"), None, r"X\[1\] holds half a character"),
        (["a", "b"], ["x", "\udfff"], None, r"y\[1\] holds half a character"),
        (["ab", "cd"], ["a", "b"], None, "too few rows or groups"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_learned_from(X, y, groups, message):
    with pytest.raises(DataError, match=message):
        Classifier().fit(X, y, groups)


@pytest.mark.parametrize("X", ["text", [1], [None], [["a"]]])
def test_things_that_cannot_be_asked(fitted, X):
    for ask in (fitted.predict, fitted.predict_proba):
        with pytest.raises(DataError, match=r"should be a (list of )?text"):
            ask(X)


def test_a_score_of_nothing(fitted):
    for X, y in (([], []), (["a"], []), (["a"], ["b", "c"])):
        with pytest.raises(DataError, match="X and y should be as long and not empty"):
            fitted.score(X, y)


def test_half_a_character_can_be_asked(fitted):
    unknown = fitted.predict_proba(["全"])
    assert (fitted.predict_proba(["\ud800"]) == unknown).all()


def test_a_few_examples_are_enough():
    """Six texts, each four times: the groups are few, but each class has three."""
    texts = ["abc", "abd", "abe", "cba", "dba", "eba"] * 4
    labels = ["up", "up", "up", "down", "down", "down"] * 4
    model = Classifier(epochs=20, token_dropout=0.0, lr=0.01).fit(texts, labels)
    assert model.predict(["abx", "xba"]).tolist() == ["up", "down"]
