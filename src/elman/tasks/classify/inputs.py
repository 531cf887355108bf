"""Inputs and labels as a person hands them over, made fit to learn from."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from elman.data.numbers import first_bad
from elman.data.table import half_a_character
from elman.errors import DataError

_LARGEST = 1e100  # of a number in a sequence: its square is still one


def as_plain(values: Sequence[Hashable]) -> list[Any]:
    """Values of arrays and series as Python's own."""
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _check_many(name: str, values: Any, of: str) -> None:
    if not isinstance(values, Iterable):
        raise DataError(f"{name} should be a list of {of}, got {type(values).__name__}")


def _rows(X: Any) -> Any:
    """What can be gone through more than once, a row at a time."""
    _check_many("X", X, "texts or of sequences of numbers")
    if getattr(X, "ndim", 1) == 2 and hasattr(X, "to_numpy"):
        return X.to_numpy()  # a data frame: a sequence a row
    return X if hasattr(X, "__len__") else list(X)


def as_texts(X: Sequence[Any]) -> list[str]:
    """A list of texts, of a list, an array or a series."""
    if getattr(X, "ndim", 1) != 1:
        raise DataError("X should be one column of texts, got a table; pick the column")
    if isinstance(X, str):
        raise DataError("X should be a list of texts, got one text; write [text]")
    _check_many("X", X, "texts")
    texts = list(X)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"X[{row}] should be a text, got {type(text).__name__}")
    return texts


def as_sequences(X: Sequence[Any], size: int | None = None) -> list[np.ndarray]:
    """Sequences of numbers as float64 arrays (L_i, F), F the same for all.

    Args:
        X: for each row an array or list, (L_i,) or (L_i, F); or one array (N, L) or (N, L, F).
        size: the F there should be. Default: that of the first row.

    >>> [s.shape for s in as_sequences([[1, 2, 3], [4.5]])]
    [(3, 1), (1, 1)]
    """
    sequences = []
    for row, values in enumerate(_rows(X)):
        try:
            sequence = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(
                f"X[{row}] should be numbers, (L,) or (L, F), got {values!r:.60}"
            ) from None
        if sequence.ndim == 1:
            sequence = sequence[:, None]
        if sequence.ndim != 2 or sequence.size == 0:
            raise DataError(
                f"X[{row}] should be numbers, (L,) or (L, F) with L at least 1, got the shape "
                f"{np.shape(values)}"
            )
        size = sequence.shape[1] if size is None else size
        if sequence.shape[1] != size:
            raise DataError(
                f"X[{row}] should have {size} numbers at each step, got {sequence.shape[1]}"
            )
        if not np.isfinite(sequence).all():
            step = int(np.argwhere(~np.isfinite(sequence))[0][0])
            raise DataError(
                f"X[{row}] holds {first_bad(sequence[step].tolist())} at step {step}; fill it in"
            )
        if np.abs(sequence).max() > _LARGEST:
            raise DataError(f"X[{row}] holds a number above {_LARGEST:g}; use another unit")
        sequences.append(sequence)
    return sequences


def as_inputs(X: Sequence[Any]) -> list[Any]:
    """Texts or sequences of numbers, by what the first one is."""
    X = _rows(X)
    first: Any = next(iter(X), None)  # a series may have no row of the name 0
    if not isinstance(first, str) and np.ndim(first) > 0:
        return as_sequences(X)
    return as_texts(X)


def identity_of(value: Any) -> Hashable:
    """What tells an input from another: the text itself, or the bytes of the numbers."""
    return value if isinstance(value, str) else (value.shape, value.tobytes())


def checked_examples(
    X: Sequence[Any], y: Sequence[Hashable], groups: Sequence[Hashable] | None
) -> tuple[list[Any], list[Any]]:
    """Inputs and labels fit to learn from.

    Raises:
        DataError: they are not as many, one is empty, or a label is of no or another type.
    """
    inputs = as_inputs(X)
    _check_many("y", y, "labels, one for each row of X")
    labels = as_plain(y)
    for name, values in (("y", labels), ("groups", inputs if groups is None else groups)):
        if len(values) != len(inputs):
            raise DataError(f"{name} should have {len(inputs)} values as X has, got {len(values)}")
    if not inputs:
        raise DataError("X is empty; give labelled texts or sequences")
    kind = type(labels[0])
    if kind not in (str, int, bool):
        raise DataError(f"y should hold strings, whole numbers or bools, got {labels[0]!r}")
    for row, (value, label) in enumerate(zip(inputs, labels, strict=True)):
        if isinstance(value, str) and not value:
            raise DataError(f"X[{row}] is empty; leave the row out")
        for name, text in (("X", value), ("y", label)):
            if isinstance(text, str) and half_a_character(text):
                raise DataError(
                    f"{name}[{row}] holds half a character (a lone surrogate); decode it anew"
                )
        if isinstance(label, str) and "\0" in label:
            raise DataError(f"y[{row}] holds a NUL character; leave it out")
        if type(label) is not kind:
            raise DataError(f"y[{row}] should be of type {kind.__name__} as y[0], got {label!r}")
    return inputs, labels
