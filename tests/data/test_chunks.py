"""Streams and chunks: in the order of time, nothing told twice, nearly nothing left out."""

import numpy as np
import pytest

from elman.data.chunks import chunk_bounds, stream_count, streams


@pytest.mark.parametrize(
    ("length", "most", "chunk", "count"),
    [
        (0, 32, 32, 1),
        (1, 32, 32, 1),
        (32 * 32 - 1, 32, 32, 1),
        (2 * 32 * 32 - 1, 32, 32, 1),
        (2 * 32 * 32, 32, 32, 2),
        (10**9, 32, 32, 32),
        (10**9, 1, 32, 1),
        (100, 32, 1, 3),
        (100, 32, 10**6, 1),
    ],
)
def test_how_many_streams(length, most, chunk, count):
    assert stream_count(length, most, chunk) == count


@pytest.mark.parametrize("length", [2, 3, 10, 11, 97, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("turn", [0, 1, 5, 96])
def test_each_step_is_told_once_after_the_one_before(length, count, turn):
    rows = streams(np.arange(length), count, turn)
    steps = (length - 1) // count
    assert rows.shape == (count, steps + 1)
    assert rows[0, 0] == turn % length
    assert ((rows[:, 1:] - rows[:, :-1]) % length == 1).all()  # a ring
    told = rows[:, 1:].ravel().tolist()
    assert len(set(told)) == len(told) == length - 1 - (length - 1) % count
    assert (rows[1:, 0] == rows[:-1, -1]).all()  # one goes on where the other ends


def test_each_turn_leaves_out_another_step():
    left_out = [{*range(10)} - {*streams(np.arange(10), 2, t)[:, 1:].ravel()} for t in range(10)]
    assert set().union(*left_out) == {*range(10)}


def test_rows_of_several_numbers():
    values = np.arange(22.0).reshape(11, 2)
    rows = streams(values, 2, turn=3)
    assert rows.shape == (2, 6, 2)
    assert rows[..., 0].tolist() == (2 * streams(np.arange(11), 2, turn=3)).tolist()
    assert (rows[..., 1] - rows[..., 0] == 1).all()


def test_the_values_stay_as_they_are():
    values = np.arange(9)
    streams(values, 2, turn=4)[:] = -1
    assert values.tolist() == [*range(9)]


@pytest.mark.parametrize("steps", [0, 1, 5, 6, 7, 100])
@pytest.mark.parametrize("chunk", [1, 2, 6, 1000])
def test_chunks_follow_each_other(steps, chunk):
    bounds = chunk_bounds(steps, chunk)
    assert [k for start, end in bounds for k in range(start, end)] == [*range(steps)]
    assert all(end - start == chunk for start, end in bounds[:-1])
    assert all(0 < end - start <= chunk for start, end in bounds)
