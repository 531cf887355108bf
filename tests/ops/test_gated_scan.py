"""The scan between gates, on every backend, against the plain loop under torch's own autograd.

Roundings, for tolerances.py: as in test_agreement.py, with six more a step for the gates, the bound
and what f is made of. y is not scaled down by g, so its size is counted beside that of h.
"""

from itertools import product

import pytest
import torch

from elman.ops import reference, scan
from elman.ops.activations import NONLINEARITIES
from tests.ops.cases import LAYOUTS, SERVING, gated_inputs, uniform, values_and_gradients
from tests.tolerances import LOW_PRECISION, as_good, distance, largest, worst

every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
every_backend = pytest.mark.parametrize("backend", SERVING)
GATES = ("g", "q", "e", "gq", "gqe")


def gated(f, layout, reverse, nonlinearity="tanh", bound=None, **more):
    def run(**tensors):
        time = {"batch_sizes": layout.batch_sizes, "reverse": reverse}
        return f(**tensors, nonlinearity=nonlinearity, bound=bound, **time, **more)

    return run


def loop(*, g=None, e=None, **given):
    """The reference; an absent e is 1 - g, as `scan` has it."""
    if e is None and g is not None:
        e = 1 - g
    return reference.gated_scan(g=g, e=e, **given)[0]


def same(ours, truth, layout, case=""):
    steps = max(1, layout.L) ** 2 * max(1, layout.N) * (layout.H + 10)
    allowed = worst(steps, 4 * max(1, layout.L) * max(1.0, largest(truth["output"])))
    for name, expected in truth.items():
        assert ours[name].shape == expected.shape, case + name
        assert distance(ours[name], expected) <= allowed, case + name


@every_backend
@every_layout
def test_values_and_every_gradient(backend, layout):
    for names, reverse, groups in product(GATES, (False, True), (None, 2)):
        tensors = gated_inputs(layout, groups, names)
        out_bar = uniform(*layout.sequence_shape(groups))
        truth = values_and_gradients(gated(loop, layout, reverse), tensors, out_bar)
        ours = values_and_gradients(gated(scan, layout, reverse, backend=backend), tensors, out_bar)
        same(ours, truth, layout, f"{names}, reverse={reverse}, groups={groups}: ")


@every_backend
@pytest.mark.parametrize("bound", [None, 0.4])
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_nonlinearity_and_bound(backend, nonlinearity, bound):
    for name, gates in product(("dense,odd", "packed"), ("", "g", "gqe")):
        layout = LAYOUTS[name]
        tensors = gated_inputs(layout, None, gates, nonlinearity)
        out_bar = uniform(*layout.sequence_shape(None))
        given = layout, False, nonlinearity, bound
        truth = values_and_gradients(gated(loop, *given), tensors, out_bar)
        ours = values_and_gradients(gated(scan, *given, backend=backend), tensors, out_bar)
        same(ours, truth, layout, f"{name}, {gates}: ")


@every_backend
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid", "softplus", "elu"])
@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)
def test_low_precision(backend, dtype, nonlinearity):
    for name, gates in product(("dense,odd", "dense,strided", "packed"), ("g", "q", "gqe")):
        layout = LAYOUTS[name]
        low = {n: t.to(dtype) for n, t in gated_inputs(layout, None, gates, nonlinearity).items()}
        out_bar = uniform(*layout.sequence_shape(None)).to(dtype)
        wide = {n: t.double() for n, t in low.items()}
        truth = values_and_gradients(gated(loop, layout, True, nonlinearity), wide, out_bar)
        rival = values_and_gradients(gated(loop, layout, True, nonlinearity), low, out_bar)
        run = gated(scan, layout, True, nonlinearity, backend=backend)
        ours = values_and_gradients(run, low, out_bar)
        for n, expected in truth.items():
            # eight roundings a step, of the largest numbers there are or of what arrives
            scale = max(largest(expected), 0.0 if n == "output" else 1.0)
            good, says = as_good(ours[n], rival[n], expected, 8 * layout.L, scale)
            assert good, f"{name}, {gates}, {n}: {says}"


@every_backend
def test_gates_expanded_from_one_step_row_or_column(backend):
    layout = LAYOUTS["dense,odd"]
    L, N, H = layout.L, layout.N, layout.H
    for shape in ((1, 1, H), (1, N, H), (L, N, 1), (L, 1, 1), (1, 1, 1), (L, 1, H)):
        tensors = gated_inputs(layout, None, "")
        gates = {n: (torch.rand(shape) / 2).double() for n in "gqe"}

        def wide(f, **more):
            def run(g, q, e, **given):
                spread = {n: c.expand(L, N, H) for n, c in (("g", g), ("q", q), ("e", e))}
                return gated(f, layout, False, **more)(**given, **spread)

            return run

        out_bar = uniform(L, N, H)
        truth = values_and_gradients(wide(loop), tensors | gates, out_bar)
        ours = values_and_gradients(wide(scan, backend=backend), tensors | gates, out_bar)
        same(ours, truth, layout, f"{shape}: ")


def test_two_steps_by_hand():
    # H = 1, W = 2, h_0 = 1, identity: y_1 = 1 + 2·(0.5·1) = 2, h_1 = 0.25·2 + 3·1 = 3.5
    # y_2 = -1 + 2·(2·3.5) = 13, held within 10: h_2 = 0.5·10 - 1·3.5 = 1.5
    a, g, q, e = (torch.tensor(v)[:, None, None] for v in
                  ([1.0, -1.0], [0.25, 0.5], [0.5, 2.0], [3.0, -1.0]))  # fmt: skip
    W, h_0 = torch.tensor([[2.0]]), torch.ones(1, 1)
    for backend in SERVING:
        h = scan(a, W, h_0, "identity", g=g, q=q, e=e, bound=10, backend=backend)
        assert h.flatten().tolist() == [3.5, 1.5]


def test_a_function_of_ones_own_takes_the_plain_loop():
    tensors = gated_inputs(LAYOUTS["packed"], None, "gq")
    layout, bar = LAYOUTS["packed"], uniform(*LAYOUTS["packed"].sequence_shape(None))
    ours = values_and_gradients(gated(scan, layout, True, torch.sin), tensors, bar)
    truth = values_and_gradients(gated(loop, layout, True, torch.sin), tensors, bar)
    for name, expected in truth.items():
        assert torch.equal(ours[name], expected), name


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"g": torch.ones(2, 3, 4)}, "g should have the shape of a"),
        ({"q": torch.ones(4, 3, 4, dtype=torch.float64)}, "q should have the dtype of a"),
        ({"e": 0.5}, "e should be a Tensor"),
        ({"bound": 0.0}, "bound should be a number above zero"),
        ({"bound": float("inf")}, "bound should be a number above zero"),
        ({"nonlinearity": "gelu"}, "nonlinearity should be one of 'tanh'"),
    ],
)
def test_what_does_not_fit_is_said(given, says):
    a, W, h_0 = torch.zeros(4, 3, 4), torch.zeros(4, 4), torch.zeros(3, 4)
    with pytest.raises((TypeError, ValueError), match=says):
        scan(a, W, h_0, **given)
