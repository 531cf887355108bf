"""Who follows whom in time, against one row at a time in plain Python."""

import pytest
import torch

from elman.ops import ended, reference, scan
from elman.ops.layout import (
    begun,
    continued,
    following,
    in_order,
    joined,
    outer,
    outer_with_previous,
    previous,
    product,
)
from tests.ops.cases import LAYOUTS, uniform
from tests.tolerances import distance, worst

every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
both_directions = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
grouped_or_not = pytest.mark.parametrize("groups", [None, 2], ids=["plain", "groups"])


def rows_of(layout, reverse):
    """For each row the places of its steps in memory, in the order the scan visits them."""
    lengths = layout.lengths or (layout.L,) * layout.N
    places = [[] for _ in range(layout.N)]
    place = 0
    for t in range(layout.L):
        for i in range(layout.N):
            if t < lengths[i]:
                places[i].append(place)
                place += 1
    return [steps[::-1] for steps in places] if reverse else places


def sequence_and_initial(layout, groups):
    x = uniform(*layout.sequence_shape(groups))
    return x, uniform(layout.N, *layout.row(groups)), x.view(-1, *layout.row(groups))


@every_layout
@both_directions
@grouped_or_not
def test_previous(layout, reverse, groups):
    x, initial, flat = sequence_and_initial(layout, groups)
    expected = torch.full_like(flat, torch.nan)
    for i, steps in enumerate(rows_of(layout, reverse)):
        for before, now in zip([None, *steps], steps, strict=False):
            expected[now] = initial[i] if before is None else flat[before]
    assert torch.equal(previous(x, initial, layout.batch_sizes, reverse), expected.view_as(x))


@every_layout
@both_directions
@grouped_or_not
def test_following(layout, reverse, groups):
    x, _, flat = sequence_and_initial(layout, groups)
    expected = torch.full_like(flat, torch.nan)
    for steps in rows_of(layout, reverse):
        for now, after in zip(steps, [*steps[1:], None], strict=False):
            expected[now] = 0 if after is None else flat[after]
    assert torch.equal(following(x, layout.batch_sizes, reverse), expected.view_as(x))


@every_layout
@both_directions
@grouped_or_not
def test_begun_and_ended(layout, reverse, groups):
    x, initial, flat = sequence_and_initial(layout, groups)
    first, last = torch.zeros_like(initial), initial.clone()
    for i, steps in enumerate(rows_of(layout, reverse)):
        if steps:
            first[i], last[i] = flat[steps[0]], flat[steps[-1]]
    assert torch.equal(begun(x, layout.batch_sizes, reverse, layout.N), first)
    assert torch.equal(ended(x, initial, layout.batch_sizes, reverse), last)


@every_layout
@both_directions
def test_ended_passes_its_gradient_to_the_step_it_took(layout, reverse):
    x, initial, _ = sequence_and_initial(layout, None)
    x.requires_grad_()
    initial.requires_grad_()
    ended(x, initial, layout.batch_sizes, reverse).sum().backward()
    taken, kept = torch.zeros(x.shape).view(-1, layout.H), torch.zeros(layout.N, layout.H)
    for i, steps in enumerate(rows_of(layout, reverse)):
        (taken[steps[-1]] if steps else kept[i]).fill_(1)
    for leaf, expected in ((x, taken.view(x.shape)), (initial, kept)):
        got = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        assert torch.equal(got, expected.double())


@every_layout
@both_directions
@grouped_or_not
def test_in_order_visits_each_row_in_its_own_order(layout, reverse, groups):
    x, _, flat = sequence_and_initial(layout, groups)
    seen = [[] for _ in range(layout.N)]
    views = []
    for x_t, absent in in_order(layout.batch_sizes, reverse, x, None):
        assert absent is None
        views.append(x_t)
        for i, row in enumerate(x_t):
            seen[i].append(row)
    assert len(views) == layout.L
    for rows, steps in zip(seen, rows_of(layout, reverse), strict=True):
        assert len(rows) == len(steps)
        assert all(torch.equal(row, flat[place]) for row, place in zip(rows, steps, strict=True))
    assert torch.equal(joined(views, x, reverse), x)


def test_continued_lets_new_rows_bring_their_own_state():
    state, initial = torch.tensor([[1.0], [2.0]]), torch.tensor([[7.0], [8.0], [9.0]])
    assert continued(state, initial, 1).tolist() == [[1.0]]
    assert continued(state, initial, 2).tolist() == [[1.0], [2.0]]
    assert continued(state, initial, 3).tolist() == [[1.0], [2.0], [9.0]]


@every_layout
@both_directions
@grouped_or_not
def test_outer_sums_over_every_row(layout, reverse, groups):
    x, initial, flat = sequence_and_initial(layout, groups)
    u = uniform(*x.shape)
    weight = torch.zeros(*layout.row(groups), layout.H, dtype=torch.float64)
    plain, moved = weight.clone(), weight.clone()
    for i, steps in enumerate(rows_of(layout, reverse)):
        for before, now in zip([None, *steps], steps, strict=False):
            u_t = u.view_as(flat)[now]
            h = initial[i] if before is None else flat[before]
            plain += u_t[..., :, None] * flat[now][..., None, :]
            moved += u_t[..., :, None] * h[..., None, :]
    allowed = worst(layout.L * layout.N + 1, layout.L * layout.N + 1)
    assert distance(outer(u, x, weight), plain) <= allowed
    got = outer_with_previous(u, x, initial, weight, layout.batch_sizes, reverse)
    assert distance(got, moved) <= allowed


@pytest.mark.parametrize("lead", [(3,), (5, 3), (0,), (4, 0)], ids=str)
def test_product_keeps_groups_apart(lead):
    x, weight = uniform(*lead, 2, 3), uniform(2, 3, 3)
    expected = torch.stack([x[..., g, :] @ weight[g] for g in range(2)], dim=-2)
    assert distance(product(x, weight), expected) <= worst(2 * 3, 3)
    assert distance(product(x, weight[0]), x @ weight[0]) == 0


@both_directions
def test_packed_rows_are_what_each_row_is_alone(reverse):
    """The claim the layout stands on: a packed row is the row by itself."""
    layout = LAYOUTS["packed,zero-length"]
    a, h_0, W = uniform(6, 3), uniform(4, 3), uniform(3, 3) / 3
    together = scan(a, W, h_0, batch_sizes=layout.batch_sizes, reverse=reverse)
    places = rows_of(layout, reverse=False)
    for i, steps in enumerate(places):
        alone = reference.scan(a[steps][:, None], W, h_0[i : i + 1], reverse=reverse)
        assert distance(together[steps], alone[:, 0]) <= worst(4 * (3 + 4), 1)
