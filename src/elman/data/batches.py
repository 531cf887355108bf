"""Sequences of many lengths in few, well-filled batches."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor


def batches_by_length(
    lengths: Sequence[int], batch_size: int, rng: np.random.Generator | None = None
) -> Iterator[np.ndarray]:
    """Indices of the rows of each batch, rows of like length together.

    Args:
        lengths: of each row.
        batch_size: rows in a batch; the last may have fewer.
        rng: for training: shuffles rows of equal length, and the order of the batches.
            Default: None, a fixed order.

    >>> [batch.tolist() for batch in batches_by_length([5, 1, 5, 2], 2)]
    [[1, 3], [0, 2]]
    """
    rows = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    rows = rows[np.argsort(np.asarray(lengths)[rows], kind="stable")]
    batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    if rng is not None:
        rng.shuffle(batches)
    return iter(batches)


def pad(sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids as one (N, L) tensor filled up with zeros, and the lengths (N,).

    >>> pad([[7, 8], [9]])
    (tensor([[7, 8],
             [9, 0]]), tensor([2, 1]))
    """
    lengths = torch.tensor([len(s) for s in sequences], dtype=torch.int64)
    tokens = torch.zeros(len(sequences), max(map(len, sequences), default=0), dtype=torch.int64)
    for row, sequence in zip(tokens, sequences, strict=True):
        row[: len(sequence)] = torch.tensor(sequence, dtype=torch.int64)
    return tokens, lengths
