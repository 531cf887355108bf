"""Sequences of many lengths in few, well-filled batches."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def batches_by_length(
    lengths: Sequence[int], batch_size: int, rng: np.random.Generator | None = None
) -> list[np.ndarray]:
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
    return batches


def pad(sequences: Sequence[Sequence[int] | np.ndarray]) -> tuple[Tensor, Tensor]:
    """Sequences as one tensor filled up with zeros, and the lengths (N,).

    Args:
        sequences: N of them: token ids, or arrays (L_i, F) of float32 vectors.

    Returns:
        int64 (N, L) or float32 (N, L, F), and int64 (N,).

    >>> pad([[7, 8], [9]])
    (tensor([[7, 8],
             [9, 0]]), tensor([2, 1]))
    >>> pad([np.ones((2, 3), np.float32), np.ones((5, 3), np.float32)])[0].shape
    torch.Size([2, 5, 3])
    """
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    vectors = len(sequences) > 0 and isinstance(sequences[0], np.ndarray)
    shape = np.shape(sequences[0])[1:] if vectors else ()
    padded = np.zeros(
        (len(sequences), lengths.max(initial=0), *shape), np.float32 if vectors else np.int64
    )
    if lengths.any():
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.concatenate(sequences)
    return torch.from_numpy(padded), torch.from_numpy(lengths)
