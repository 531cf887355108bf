"""Batches: every row once, like lengths together, the same for the same seed."""

import numpy as np
import pytest
import torch

from elman.data import batches_by_length, pad

LENGTHS = np.random.default_rng(0).integers(0, 40, 301).tolist()


def taken(batch_size, seed=None):
    rng = None if seed is None else np.random.default_rng(seed)
    return [batch.tolist() for batch in batches_by_length(LENGTHS, batch_size, rng)]


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("batch_size", [1, 7, 32, 300, 301, 1000])
def test_every_row_once(batch_size, seed):
    batches = taken(batch_size, seed)
    assert sorted(i for batch in batches for i in batch) == list(range(301))
    sizes = sorted(map(len, batches))
    assert sizes[1:] == [batch_size] * (len(batches) - 1)
    assert 1 <= sizes[0] <= batch_size


@pytest.mark.parametrize("seed", [None, 3])
def test_little_padding(seed):
    batches = taken(16, seed)
    padded = sum(len(batch) * max(LENGTHS[i] for i in batch) for batch in batches)
    # sorted, the longest rows of the batches rise from one to the next: less than
    # batch_size times the range of lengths is lost in all
    assert padded - sum(LENGTHS) <= 16 * max(LENGTHS)
    at_random = np.array(LENGTHS)[np.random.default_rng(0).permutation(301)]
    wasteful = sum(16 * at_random[i : i + 16].max() for i in range(0, 301, 16))
    assert padded < 0.7 * wasteful


def test_the_seed_decides():
    assert taken(16, 5) == taken(16, 5)
    assert taken(16, 5) != taken(16, 6)
    assert taken(16) == taken(16)


def test_each_epoch_in_another_order():
    rng = np.random.default_rng(0)
    first, second = ([b.tolist() for b in batches_by_length(LENGTHS, 16, rng)] for _ in range(2))
    assert first != second
    assert {frozenset(b) for b in first} != {frozenset(b) for b in second}


def test_rows_of_equal_length_are_shuffled_too():
    batches = [b.tolist() for b in batches_by_length([3] * 64, 8, np.random.default_rng(0))]
    assert sorted(batches) != [list(range(i, i + 8)) for i in range(0, 64, 8)]


def test_no_rows():
    assert list(batches_by_length([], 4)) == []
    assert list(batches_by_length([], 4, np.random.default_rng(0))) == []


def test_pad():
    tokens, lengths = pad([[5, 6, 7], [], [8]])
    assert tokens.tolist() == [[5, 6, 7], [0, 0, 0], [8, 0, 0]]
    assert lengths.tolist() == [3, 0, 1]
    assert tokens.dtype == lengths.dtype == torch.int64


def test_pad_nothing():
    for sequences, shape in (([], (0, 0)), ([[]], (1, 0)), ([[], []], (2, 0))):
        tokens, lengths = pad(sequences)
        assert tokens.shape == shape
        assert lengths.tolist() == [0] * len(sequences)
