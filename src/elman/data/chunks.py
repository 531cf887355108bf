"""A long sequence as a few streams side by side, cut into chunks in the order of time."""

import numpy as np


def stream_count(length: int, most: int, chunk: int, chunks: int = 32) -> int:
    """How many streams to cut a sequence into: fewer where it is short.

    Args:
        length: of the sequence, in steps.
        most: the most streams.
        chunk: steps of a chunk.
        chunks: a stream should have at least so many. Default: 32.

    >>> stream_count(1_000_000, 32, 128), stream_count(10_000, 32, 128), stream_count(50, 32, 128)
    (32, 2, 1)
    """
    return max(1, min(most, length // (chunk * chunks)))


def streams(values: np.ndarray, count: int, turn: int = 0) -> np.ndarray:
    """The sequence cut into streams of equal length.

    Each holds one step more than it predicts: inputs are all but its last, targets all but its
    first. A few steps at the end may be left out, `turn` decides which.

    Args:
        values: (T, ...).
        count: N, how many streams.
        turn: begin at this step, as if the end were joined to the beginning. Default: 0.

    Returns:
        (N, T_N + 1, ...), with T_N the steps to predict in each.

    >>> streams(np.arange(8), 2).tolist()
    [[0, 1, 2, 3], [3, 4, 5, 6]]
    """
    turned = np.roll(values, -turn, axis=0)
    steps = (len(values) - 1) // count
    return np.stack([turned[k * steps : (k + 1) * steps + 1] for k in range(count)])


def chunk_bounds(steps: int, chunk: int) -> list[tuple[int, int]]:
    """Where each chunk of a stream of so many steps begins and ends.

    >>> chunk_bounds(5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    return [(start, min(start + chunk, steps)) for start in range(0, steps, chunk)]
