"""Parts of a data set that share no group: for training, for stopping, for judging."""

from collections.abc import Hashable, Sequence

import numpy as np

from elman.errors import DataError


def joined_groups(texts: Sequence[Hashable], groups: Sequence[Hashable]) -> list[Hashable]:
    """Groups that share a text become one, so that no text stands on both sides of a split.

    Returns:
        For each row a name for its group, the same where rows belong together.

    >>> a, b, c, d = joined_groups(["x", "y", "y", "z"], [1, 1, 2, 3])
    >>> a == b == c, c == d
    (True, False)
    """
    above: dict[Hashable, Hashable] = {}

    def top(node: Hashable) -> Hashable:
        while above.setdefault(node, node) != node:
            above[node] = above[above[node]]
            node = above[node]
        return node

    for text, group in zip(texts, groups, strict=True):
        above[top(("text", text))] = top(("group", group))
    return [top(("group", group)) for group in groups]


def grouped_split(
    labels: Sequence[Hashable],
    groups: Sequence[Hashable] | None,
    fraction: float,
    seed: int,
    of: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out about `fraction` of the rows, whole groups at a time and of each class.

    A group counts for the class of its first row. Of every class at least one group stays, and
    at least one is held out where there are two.

    Args:
        labels: the class of each row.
        groups: rows with an equal value stay together. Default: each row by itself.
        fraction: of the groups of each class, between 0 and 1.
        seed: the same seed gives the same split.
        of: for errors, what the fraction is called where it is given. Default: not told.

    Returns:
        Indices of the rows that stay and of those held out, each in ascending order.

    Raises:
        DataError: a class would be missing from the rows that stay, or nothing is held out.

    >>> stay, held = grouped_split(["a", "b"] * 4, [0, 0, 1, 1, 2, 2, 3, 3], 0.25, seed=0)
    >>> len(stay), len(held)
    (6, 2)
    """
    keys: Sequence[Hashable] = range(len(labels)) if groups is None else groups
    members: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        members.setdefault(key, []).append(row)
    strata: dict[Hashable, list[Hashable]] = {}
    for key, rows in members.items():
        strata.setdefault(labels[rows[0]], []).append(key)
    rng = np.random.default_rng(seed)
    held: list[int] = []
    for of_class in strata.values():
        order = rng.permutation(len(of_class))
        count = min(max(round(fraction * len(of_class)), 1), len(of_class) - 1)
        for i in order[:count]:
            held.extend(members[of_class[i]])
    stay = np.setdiff1d(np.arange(len(labels)), held)
    missing = set(labels) - {labels[i] for i in stay}
    share = f"{fraction:.0%} of them" + (f" ({of})" if of else "")
    if not held and len(members) > 1:
        classes = set(labels)
        pairs = {(key, labels[row]) for row, key in enumerate(keys)}
        if len(pairs) == len(classes):
            raise DataError(
                f"too few rows or groups to hold out {share}: each of the "
                f"{len(classes)} classes has one only, so none can be held out; is the column of "
                "labels the right one? give more rows of each"
            )
    if missing or not held:
        what = f"no row of class {sorted(map(str, missing))[0]!r}" if missing else "no row at all"
        there = f"{_count(len(labels), 'row')} in {_count(len(members), 'group')}"
        raise DataError(
            f"too few rows or groups to hold out {share}: {what} would be left on "
            f"one side ({there}, equal texts being one group); give more rows or groups"
        )
    return stay, np.sort(np.array(held))


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
