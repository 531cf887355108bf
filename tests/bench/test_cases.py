"""The registry, and the numbers every contestant is given."""

import torch

from elman.bench import CASES, SHORT, Case, grid
from elman.bench.work import new_work

TINY = Case("tiny", 3, 4, 2, 5)
PACKED = Case("packed", 3, 4, 2, 5, lengths=(4, 2, 1))


def test_the_table():
    assert len(CASES) == 11
    assert all(name == case.name for name, case in CASES.items())
    assert set(SHORT) <= set(CASES)
    assert all(case.bar("torch", of) for case in CASES.values() for of in case.passes)
    dense = [c for c in CASES.values() if c.lengths is None and c.num_layers == 1 and not c.step]
    assert [case.bar("jax", "train") for case in dense] == [1.2] * 8


def test_packed_lengths_go_evenly_from_one_to_the_longest():
    case = CASES["packed"]
    assert (case.lengths[0], case.lengths[-1], len(case.lengths)) == (case.L, 1, case.N)
    gaps = {a - b for a, b in zip(case.lengths, case.lengths[1:], strict=False)}
    assert gaps == {16, 17} or gaps == {16}


def test_the_grid():
    cases = grid(2)
    assert len(cases) == len({case.name for case in cases}) == 5 * 4 * 5
    assert all(case.H_in == case.H and case.threads == 2 for case in cases)
    assert all(case.bar("torch", of) == 1 for case in cases for of in case.passes)


def test_on_other_threads_no_bar_holds():
    case = CASES["one"]
    assert case.on(case.threads) is case
    other = case.on(7)
    assert (other.threads, other.bar("torch", "train"), other.H) == (7, None, case.H)


def test_work_is_the_same_each_time_and_leaves_the_generator_alone():
    state = torch.get_rng_state()
    one, two = new_work(TINY), new_work(TINY)
    assert torch.equal(torch.get_rng_state(), state)
    assert one.x.shape == (4, 3, 2)
    assert one.cotangent.shape == (4, 3, 5)
    assert torch.equal(one.x, two.x)
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)


def test_packed_work():
    work = new_work(PACKED)
    assert work.batch_sizes.tolist() == [3, 2, 1, 1]
    assert work.x.shape == (7, 2)
    lengths = torch.nn.utils.rnn.pad_packed_sequence(work.input)[1]
    assert lengths.tolist() == [4, 2, 1]
