"""grouped_split: nothing on both sides, over many random data sets."""

from collections import Counter

import numpy as np
import pytest

from elman.data import grouped_split
from elman.errors import DataError


def random_case(seed):
    """Labels, groups, fraction: groups of 1 to 4 rows, each of one class, in any order."""
    rng = np.random.default_rng(seed)
    labels, groups = [], []
    for group in range(int(rng.integers(2, 120))):
        size = int(rng.integers(1, 5))
        labels += [f"class {rng.integers(0, rng.integers(1, 6) + 1)}"] * size
        groups += [group] * size
    order = rng.permutation(len(labels))
    fraction = float(rng.uniform(0.01, 0.9))
    return [labels[i] for i in order], [groups[i] for i in order], fraction


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_over_many_random_data_sets(first):
    refused = []
    for seed in range(first, first + 100):
        labels, groups, fraction = random_case(seed)
        of_class = Counter(label for label, _ in set(zip(labels, groups, strict=True)))
        expected = {c: min(round(fraction * n), n - 1) for c, n in of_class.items()}
        try:
            stay, held = grouped_split(labels, groups, fraction, seed)
        except DataError as error:
            refused.append((str(error), expected))
            continue
        assert sorted([*stay, *held]) == list(range(len(labels))), seed
        assert list(stay) == sorted(stay), seed
        assert list(held) == sorted(held), seed
        groups_held = {(labels[i], groups[i]) for i in held}
        assert not {groups[i] for i in stay} & {group for _, group in groups_held}, seed
        assert {labels[i] for i in stay} == set(labels), seed
        counts = Counter(label for label, _ in groups_held)
        for c, n in of_class.items():  # the fraction, to the nearest group, and one stays
            assert counts[c] in (expected[c], min(1, n - 1)), (seed, c)
    assert len(refused) < 30  # most of the data sets can be split
    for message, expected in refused:  # only where nothing can be held out
        assert "give more rows" in message
        assert not any(expected.values())


def test_a_group_of_several_classes_stays_whole():
    rng = np.random.default_rng(0)
    for seed in range(100):
        groups = rng.integers(0, 30, 200).tolist()
        labels = rng.integers(0, 3, 200).tolist()
        stay, held = grouped_split(labels, groups, 0.2, seed)
        assert not {groups[i] for i in stay} & {groups[i] for i in held}
        assert len(stay) + len(held) == 200


def test_the_fraction_of_rows_without_groups():
    labels = ["a"] * 700 + ["b"] * 300
    for seed in range(20):
        _, held = grouped_split(labels, None, 0.2, seed)
        assert Counter(labels[i] for i in held) == {"a": 140, "b": 60}


def test_the_seed_decides():
    labels, groups = ["a", "b"] * 100, [i // 2 for i in range(200)]
    first, again, other = (grouped_split(labels, groups, 0.3, seed)[1] for seed in (7, 7, 8))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_every_group_is_held_out_at_times():
    labels = ["a", "b"] * 10
    seen = {int(i) for seed in range(60) for i in grouped_split(labels, None, 0.2, seed)[1]}
    assert seen == set(range(20))


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.2, 0.5, 0.9])
def test_a_class_of_two_groups_is_split_between_the_sides(fraction):
    labels = ["a", "a", "b", "b"]
    stay, held = grouped_split(labels, None, fraction, 0)
    assert [labels[i] for i in stay] == [labels[i] for i in held] == ["a", "b"]


def test_a_class_that_would_be_missing_is_told():
    labels, groups = ["a", "b", "a", "a", "a"], [0, 0, 1, 2, 3]  # b only beside an a
    outcomes = set()
    for seed in range(20):
        try:
            stay, _ = grouped_split(labels, groups, 0.5, seed)
            outcomes.add("fine")
            assert 1 in stay
        except DataError as error:
            outcomes.add(str(error).partition(": ")[2][:19])
    assert outcomes == {"fine", "no row of class 'b'"}


@pytest.mark.parametrize(
    ("labels", "groups"),
    [([], None), (["a"], None), (["a", "b"] * 9, [0] * 18), (["a", "b", "b"], [0, 0, 1])],
    ids=["no rows", "one row", "one group", "a class in two groups"],
)
def test_too_few_to_split(labels, groups):
    with pytest.raises(DataError, match="too few rows or groups to hold out 20% of them"):
        grouped_split(labels, groups, 0.2, 0)


@pytest.mark.parametrize(
    ("labels", "groups", "n"),
    [
        ([str(k) for k in range(100)], None, 100),
        (["a", "b"], None, 2),
        (["a", "a", "b", "b", "c"], [0, 0, 1, 1, 2], 3),
    ],
)
def test_classes_of_one_group_each_are_told(labels, groups, n):
    with pytest.raises(DataError) as error:
        grouped_split(labels, groups, 0.2, 0)
    assert str(error.value) == (
        f"too few rows or groups to hold out 20% of them: each of the {n} classes has one only, "
        "so none can be held out; is the column of labels the right one? give more rows of each"
    )


def test_one_row_and_one_group_are_singular():
    for labels, groups, there in (
        (["a"], None, "(1 row in 1 group, "),
        (["a", "b"], [0, 0], "(2 rows in 1 group, "),
        ([], None, "(0 rows in 0 groups, "),
    ):
        with pytest.raises(DataError) as error:
            grouped_split(labels, groups, 0.2, 0)
        assert there in str(error.value)
