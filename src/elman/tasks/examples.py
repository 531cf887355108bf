"""Texts and labels as a person hands them over, made fit to learn from."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from elman.data.table import half_a_character
from elman.errors import DataError


def as_texts(X: Sequence[str]) -> list[str]:
    """A list of texts, of a list, an array or a series."""
    if getattr(X, "ndim", 1) != 1:
        raise DataError("X should be one column of texts, got a table; pick the column")
    if isinstance(X, str):
        raise DataError("X should be a list of texts, got one text; write [text]")
    texts = list(X)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"X[{row}] should be a text, got {type(text).__name__}")
    return texts


def as_plain(values: Sequence[Hashable]) -> list[Any]:
    """Values of arrays and series as Python's own."""
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def checked_examples(
    X: Sequence[str], y: Sequence[Hashable], groups: Sequence[Hashable] | None
) -> tuple[list[str], list[Any]]:
    """Texts and labels fit to learn from.

    Raises:
        DataError: they are not as many, a text is empty, or a label is of no or another type.
    """
    texts, labels = as_texts(X), as_plain(y)
    for name, values in (("y", labels), ("groups", texts if groups is None else groups)):
        if len(values) != len(texts):
            raise DataError(f"{name} should have {len(texts)} values as X has, got {len(values)}")
    if not texts:
        raise DataError("X is empty; give labelled texts")
    kind = type(labels[0])
    if kind not in (str, int, bool):
        raise DataError(f"y should hold strings, whole numbers or bools, got {labels[0]!r}")
    for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
        if not text:
            raise DataError(f"X[{row}] is empty; leave the row out")
        for name, value in (("X", text), ("y", label)):
            if isinstance(value, str) and half_a_character(value):
                raise DataError(
                    f"{name}[{row}] holds half a character (a lone surrogate); decode it anew"
                )
        if type(label) is not kind:
            raise DataError(f"y[{row}] should be of type {kind.__name__} as y[0], got {label!r}")
    return texts, labels
