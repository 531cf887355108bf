"""Every backend against the plain loop under torch's own autograd: values and every gradient.

Roundings, for tolerances.py. A step sums H products and three more terms, and f rounds once:
H + 4. With a weight that never grows anything, L steps add theirs up: L (H + 4). A gradient
reads the states, which carry that much error already, through d = 1 - h² or as a factor of
its own, L times over; and it is summed over at most L·N rows: L² N (H + 4) in all and more
than any other result needs. Its terms are no larger than L·max|out_bar|·max|h|.

In low precision a step rounds four times (product, sum, f, and d or a factor), since torch
keeps the running sum of a product in float32: 4 L roundings one after another, of numbers
around the largest output, or, in a gradient, around out_bar (at most one) or itself.
"""

from itertools import product

import pytest
import torch

from elman.ops import linear_scan, reference, scan
from tests.ops.cases import (
    LAYOUTS,
    NONLINEARITIES,
    SERVING,
    linear_inputs,
    scan_inputs,
    uniform,
    values_and_gradients,
)
from tests.tolerances import LOW_PRECISION, as_good, distance, largest, worst

every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
both_directions = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
every_backend = pytest.mark.parametrize("backend", SERVING)
grouped_or_not = pytest.mark.parametrize("groups", [None, 2], ids=["plain", "groups"])
FACTORS = ["", "p", "q", "e", "pq", "pe", "qe", "pqe"]
every_factor = pytest.mark.parametrize("factors", FACTORS, ids=[f or "none" for f in FACTORS])


def roundings(layout):
    return max(1, layout.L) ** 2 * max(1, layout.N) * (layout.H + 4)


def scale_of(results, layout):
    """No term of a gradient's sums is larger; out_bar is at most one."""
    return max(1, layout.L) * max(1.0, largest(results["output"]))


def same(ours, truth, layout, case=""):
    allowed = worst(roundings(layout), scale_of(truth, layout))
    for name, expected in truth.items():
        assert ours[name].shape == expected.shape, case + name
        assert distance(ours[name], expected) <= allowed, case + name


def as_good_as_the_loop(ours, loop, truth, layout):
    for name, expected in truth.items():
        scale = max(largest(expected), 0.0 if name == "output" else 1.0)
        good, says = as_good(ours[name], loop[name], expected, 4 * layout.L, scale)
        assert good, f"{name}: {says}"


def scan_of(f, nonlinearity, layout, reverse, **more):
    def run(a, weight_hh, h_0):
        time = {"batch_sizes": layout.batch_sizes, "reverse": reverse}
        return f(a, weight_hh, h_0, nonlinearity, **time, **more)

    return run


def linear_of(f, layout, reverse, **more):
    def run(**tensors):
        return f(**tensors, batch_sizes=layout.batch_sizes, reverse=reverse, **more)

    return run


def named(tensors):
    return dict(zip(("a", "weight_hh", "h_0"), tensors, strict=True))


@every_backend
@every_layout
@both_directions
@grouped_or_not
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_scan_in_float64(backend, layout, reverse, groups, nonlinearity):
    tensors = named(scan_inputs(layout, groups, nonlinearity))
    out_bar = uniform(*layout.sequence_shape(groups))
    truth = values_and_gradients(
        scan_of(reference.scan, nonlinearity, layout, reverse), tensors, out_bar
    )
    ours = values_and_gradients(
        scan_of(scan, nonlinearity, layout, reverse, backend=backend), tensors, out_bar
    )
    same(ours, truth, layout)


@every_backend
@every_layout
@every_factor
def test_linear_scan_in_float64(backend, layout, factors):
    for reverse, groups in product((False, True), (None, 2)):
        tensors = linear_inputs(layout, groups, factors)
        out_bar = uniform(*layout.sequence_shape(groups))
        loop = linear_of(reference.linear_scan, layout, reverse)
        truth = values_and_gradients(loop, tensors, out_bar)
        ours = values_and_gradients(
            linear_of(linear_scan, layout, reverse, backend=backend), tensors, out_bar
        )
        same(ours, truth, layout, f"reverse={reverse}, groups={groups}: ")


@every_backend
@every_layout
@both_directions
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)
def test_scan_in_low_precision(backend, layout, reverse, nonlinearity, dtype):
    for groups in (None, 2):
        low = named(t.to(dtype) for t in scan_inputs(layout, groups, nonlinearity))
        out_bar = uniform(*layout.sequence_shape(groups)).to(dtype)
        loop = scan_of(reference.scan, nonlinearity, layout, reverse)
        truth = values_and_gradients(loop, {n: t.double() for n, t in low.items()}, out_bar)
        rival = values_and_gradients(loop, low, out_bar)
        ours = values_and_gradients(
            scan_of(scan, nonlinearity, layout, reverse, backend=backend), low, out_bar
        )
        as_good_as_the_loop(ours, rival, truth, layout)


@every_backend
@every_layout
@both_directions
@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)
def test_linear_scan_in_low_precision(backend, layout, reverse, dtype):
    for groups, factors in ((None, ""), (None, "p"), (None, "pqe"), (2, "q"), (2, "pe")):
        low = {n: t.to(dtype) for n, t in linear_inputs(layout, groups, factors).items()}
        out_bar = uniform(*layout.sequence_shape(groups)).to(dtype)
        loop = linear_of(reference.linear_scan, layout, reverse)
        truth = values_and_gradients(loop, {n: t.double() for n, t in low.items()}, out_bar)
        rival = values_and_gradients(loop, low, out_bar)
        ours = values_and_gradients(
            linear_of(linear_scan, layout, reverse, backend=backend), low, out_bar
        )
        as_good_as_the_loop(ours, rival, truth, layout)


@pytest.mark.parametrize("backend", [b for b in SERVING if b != "reference"])
@every_layout
def test_every_place_of_the_output_is_written(backend, layout):
    """With torch filling fresh memory with NaN, the results are the same to the last bit."""
    inputs = {
        groups: (scan_inputs(layout, groups, "tanh"), linear_inputs(layout, groups, "pqe"))
        for groups in (None, 2)
    }

    def run():
        for reverse, groups in product((False, True), (None, 2)):
            (a, weight, h_0), linear = inputs[groups]
            for f in NONLINEARITIES:
                yield scan_of(scan, f, layout, reverse, backend=backend)(a, weight, h_0)
            for names in ("", "p", "q", "e", "pqe"):
                given = {n: t for n, t in linear.items() if n not in "pqe" or n in names}
                yield linear_of(linear_scan, layout, reverse, backend=backend)(**given)

    expected = list(run())
    torch.use_deterministic_algorithms(True)  # torch then fills fresh memory
    try:
        assert torch.empty_like(torch.ones(3)).isnan().all()
        poisoned = list(run())
    finally:
        torch.use_deterministic_algorithms(False)
    for got, want in zip(poisoned, expected, strict=True):
        assert torch.equal(got, want)


@every_backend
@every_layout
def test_the_inputs_are_only_read(backend, layout):
    for reverse, groups in product((False, True), (None, 2)):
        tensors_of_scan = named(scan_inputs(layout, groups, "tanh"))
        linear = linear_inputs(layout, groups, "pqe")
        for name, tensors, run in (
            ("scan", tensors_of_scan, scan_of(scan, "tanh", layout, reverse, backend=backend)),
            ("linear_scan", linear, linear_of(linear_scan, layout, reverse, backend=backend)),
        ):
            before = {n: t.clone() for n, t in tensors.items()}
            out = run(**tensors)
            for n, t in tensors.items():
                assert torch.equal(t, before[n]), f"{name}, reverse={reverse}, groups={groups}: {n}"
                assert out.numel() == 0 or out.data_ptr() != t.data_ptr(), f"{name}: {n}"


@every_backend
@both_directions
@pytest.mark.parametrize("wanted", ["a", "weight_hh", "h_0"])
def test_a_gradient_wanted_alone_is_the_same(backend, reverse, wanted):
    layout = LAYOUTS["packed,zero-length"]
    tensors = named(scan_inputs(layout, None, "tanh"))
    run = scan_of(scan, "tanh", layout, reverse, backend=backend)
    every = values_and_gradients(run, tensors, torch.ones(layout.sequence_shape(None)))
    leaf = tensors[wanted].detach().requires_grad_()
    run(**{**tensors, wanted: leaf}).sum().backward()
    assert torch.equal(leaf.grad, every[f"{wanted}.grad"])
