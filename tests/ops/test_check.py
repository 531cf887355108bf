"""Each mistake is met with a TypeError or ValueError that says what was wanted and what came."""

import pytest
import torch

from elman.ops import linear_scan, scan

GOOD = {"a": torch.zeros(5, 2, 3), "weight_hh": torch.eye(3), "h_0": torch.zeros(2, 3)}
GROUPED = {
    "a": torch.zeros(5, 2, 4, 3),
    "weight_hh": torch.zeros(4, 3, 3),
    "h_0": torch.zeros(2, 4, 3),
}
PACKED = {**GOOD, "a": torch.zeros(3, 3), "batch_sizes": torch.tensor([2, 1])}
LINEAR = {"x": torch.zeros(5, 2, 3), "weight": torch.eye(3), "s_0": torch.zeros(2, 3)}


def zeros(*shape, **options):
    return torch.zeros(shape, **options)


# op, good arguments, what is changed, error, and pieces of the message: name, wanted, got
MISTAKES = {
    "a-list": (scan, GOOD, {"a": [1.0]}, TypeError, ["a ", "Tensor", "list"]),
    "weight-none": (
        scan, GOOD, {"weight_hh": None}, TypeError,
        ["weight_hh", "Tensor", "NoneType"],
    ),
    "h_0-none": (scan, GOOD, {"h_0": None}, TypeError, ["h_0", "Tensor", "NoneType"]),
    "factor-float": (linear_scan, LINEAR, {"p": 2.0}, TypeError, ["p ", "Tensor", "float"]),
    "a-integer": (
        scan,
        {name: t.long() for name, t in GOOD.items()},
        {},
        TypeError,
        ["a ", "floating-point", "torch.int64"],
    ),
    "weight-dtype": (
        scan, GOOD, {"weight_hh": torch.eye(3).double()}, TypeError,
        ["weight_hh", "torch.float32", "torch.float64", "weight_hh.to(torch.float32)"],
    ),
    "h_0-dtype": (
        scan, GOOD, {"h_0": zeros(2, 3).bfloat16()}, TypeError,
        ["h_0", "dtype of a", "torch.float32", "torch.bfloat16"],
    ),
    "factor-dtype": (
        linear_scan, LINEAR, {"e": zeros(5, 2, 3).double()}, TypeError,
        ["e ", "dtype of x", "torch.float32", "torch.float64"],
    ),
    "h_0-device": (
        scan, GOOD, {"h_0": zeros(2, 3, device="meta")}, ValueError,
        ["h_0", "device of a", "cpu", "meta"],
    ),
    "weight-not-square": (
        scan, GOOD, {"weight_hh": zeros(3, 4)}, ValueError,
        ["weight_hh", "(H, H) or (G, H, H)", "(3, 4)"],
    ),
    "weight-rank": (
        scan, GOOD, {"weight_hh": zeros(3)}, ValueError,
        ["weight_hh", "(H, H)", "(3)"],
    ),
    "h_0-rank": (scan, GOOD, {"h_0": zeros(1, 2, 3)}, ValueError, ["h_0", "(N, 3)", "(1, 2, 3)"]),
    "h_0-size": (scan, GOOD, {"h_0": zeros(2, 4)}, ValueError, ["h_0", "(N, 3)", "(2, 4)"]),
    "h_0-groups": (
        scan, GROUPED, {"h_0": zeros(2, 3)}, ValueError, ["h_0", "(N, 4, 3)", "(2, 3)"],
    ),
    "a-size": (
        scan, GOOD, {"a": zeros(5, 2, 4)}, ValueError, ["a ", "(3)", "weight_hh", "(5, 2, 4)"],
    ),
    "a-groups": (
        scan, GROUPED, {"a": zeros(5, 2, 2, 3)}, ValueError, ["a ", "(4, 3)", "(5, 2, 2, 3)"],
    ),
    "factor-shape": (
        linear_scan, LINEAR, {"q": zeros(5, 1, 3)}, ValueError,
        ["q ", "shape of x", "(5, 2, 3)", "(5, 1, 3)"],
    ),
    "dense-rows": (
        scan, GOOD, {"a": zeros(5, 4, 3)}, ValueError,
        ["dense", "(L, 2, 3)", "(2, 3)", "(5, 4, 3)", "batch_sizes"],
    ),
    "dense-rank": (scan, GOOD, {"a": zeros(2, 3)}, ValueError, ["dense", "(L, 2, 3)", "(2, 3)"]),
    "sizes-list": (
        scan, PACKED, {"batch_sizes": [2, 1]}, TypeError,
        ["batch_sizes", "int64", "list"],
    ),
    "sizes-int32": (
        scan, PACKED, {"batch_sizes": torch.tensor([2, 1]).int()}, TypeError,
        ["batch_sizes", "int64", "torch.int32"],
    ),
    "sizes-rank": (
        scan, PACKED, {"batch_sizes": torch.tensor([[2, 1]])}, ValueError,
        ["batch_sizes", "one-dimensional", "(1, 2)"],
    ),
    "sizes-device": (
        scan, PACKED, {"batch_sizes": torch.tensor([2, 1], device="meta")}, ValueError,
        ["batch_sizes", "CPU", "meta"],
    ),
    "sizes-increase": (
        scan, PACKED, {"batch_sizes": torch.tensor([1, 2])}, ValueError,
        ["batch_sizes", "never increase", "longest first"],
    ),
    "sizes-negative": (
        scan, PACKED, {"batch_sizes": torch.tensor([2, -1])}, ValueError,
        ["batch_sizes", "between 0 and", "2", "-1"],
    ),
    "sizes-too-many": (
        scan, PACKED, {"batch_sizes": torch.tensor([3])}, ValueError,
        ["batch_sizes", "between 0 and", "the 2 rows", "3"],
    ),
    "sizes-sum": (
        scan, PACKED, {"a": zeros(4, 3)}, ValueError, ["batch_sizes", "3 rows", "has 4"],
    ),
    "packed-rank": (
        scan, PACKED, {"a": zeros(3, 1, 3)}, ValueError,
        ["packed", "(rows, 3)", "(3, 1, 3)"],
    ),
    "linear-sizes": (
        linear_scan, LINEAR, {"batch_sizes": torch.tensor([2])}, ValueError,
        ["packed", "(rows, 3)", "(5, 2, 3)"],
    ),
    "nonlinearity": (
        scan, GOOD, {"nonlinearity": "gelu"}, ValueError,
        ["nonlinearity", "'tanh', 'relu', 'identity'", "'gelu'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named(mistake):
    op, good, change, error, words = mistake
    with pytest.raises(error) as caught:
        op(**{**good, **change})
    message = str(caught.value)
    assert type(caught.value) is error
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("op", "good"), [(scan, GOOD), (scan, GROUPED), (scan, PACKED), (linear_scan, LINEAR)]
)
def test_the_same_arguments_without_the_mistake_are_fine(op, good):
    sequence = good.get("a", good.get("x"))
    assert op(**good).shape == sequence.shape
