"""Whatever an `elman.RNN` is: its steps and Jacobians in the view and the diagnosis, against the
equations by hand in float64 and torch's autograd.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

import elman
from elman import Dynamics
from elman.ops import NONLINEARITIES
from elman.view.diagnosis import measures
from elman.view.diagnosis.probe import watched
from elman.view.functions import Function
from elman.view.memory import stretch
from elman.view.steps import Jacobians
from tests.tolerances import worst
from tests.view.layers import STEPS, WIRED, made, one_step, step, stepped, wave, wired
from tests.view.networks import array, document

CASES = {**dict.fromkeys(STEPS, step), **dict.fromkeys(WIRED, wired)}
#: Roundings of one step here, all told: two products of 7 terms, a norm, a few factors.
CLOSE = {"rtol": 0, "atol": worst(200, 10.0)}


@pytest.fixture(params=CASES)
def rnn(request):
    name = request.param
    return wired(name) if name in WIRED else step(STEPS[name])


def passes_of(rnn, *arguments, **options):
    with torch.no_grad(), watched(rnn) as passes:
        out = rnn(*arguments, **options)
    return passes, out


def by_autograd(rnn, layer, direction, x_t, before):
    """∂h_t/∂h_{t-1} of the equations."""
    x_t = x_t.detach()
    return jacobian(lambda h: one_step(rnn, layer, direction, x_t, h), before.detach())


def test_a_diagnosis_has_the_states_and_jacobians_of_the_equations(rnn):
    x = torch.randn(6, 4)
    double, chains, outputs = stepped(rnn, x)
    passes, (output, _) = passes_of(double, x.double())
    torch.testing.assert_close(output, torch.stack(outputs).detach(), **CLOSE)
    D = 2 if rnn.bidirectional else 1
    assert len(passes) == len(chains)
    for k, (of, (below, before, states)) in enumerate(zip(passes, chains, strict=True)):
        turned = k % D == 1 or rnn.wiring_or_plain.reverse
        dense = of.jacobians.dense()[:, 0]
        for t in range(6):
            read = 5 - t if turned else t
            torch.testing.assert_close(of.h[read, 0], states[t].detach(), **CLOSE)
            J = by_autograd(double, k // D, k % D, below[t], before[t])
            torch.testing.assert_close(dense[read], J, **CLOSE)


def test_a_view_has_the_states_gradients_and_jacobians_of_the_equations(rnn):
    x = torch.randn(7, 4)
    trace = elman.view(rnn, x).trace
    double, chains, _ = stepped(rnn, x)
    D = 2 if rnn.bidirectional else 1
    tops = [
        states[0] if of.weights.reverse else states[-1]
        for of, (_, _, states) in zip(trace.chains[-D:], chains[-D:], strict=True)
    ]
    (torch.cat(tops).square().sum() / 2).backward()
    for k, (of, (below, before, states)) in enumerate(zip(trace.chains, chains, strict=True)):
        truth = torch.stack(states).detach()
        torch.testing.assert_close(of.states.double(), truth, rtol=0, atol=2e-6)
        norms = torch.tensor([0.0 if h.grad is None else h.grad.norm() for h in states])
        torch.testing.assert_close(of.gradient, norms.double(), rtol=1e-4, atol=2e-6)
        steps = [by_autograd(double, k // D, k % D, below[t], before[t]) for t in range(7)]
        largest = torch.stack([torch.linalg.matrix_norm(J, 2) for J in steps])
        torch.testing.assert_close(trace.memory[k].jacobian, largest, rtol=1e-4, atol=1e-5)
        product, gain = torch.eye(len(truth[0])).double(), [1.0]
        way = steps if not of.weights.reverse else steps[::-1]
        for J in reversed(way[1:]):
            product = product @ J
            gain.append(float(product.norm() / len(J) ** 0.5))
        found = trace.memory[k].gain
        found = found if of.weights.reverse else found.flip(0)
        torch.testing.assert_close(found, torch.tensor(gain).double(), rtol=1e-4, atol=1e-6)


def test_the_gradient_goes_all_the_way_back(rnn):
    """Through every J_t to h_0, against torch's own backward pass of the layer as it is."""
    rnn = rnn.double()
    x, gaps = torch.randn(9, 2, 4, dtype=torch.float64), torch.rand(9, 2) > 0.2
    anew = torch.rand(9, 2) < 0.2
    D, sizes = 2 if rnn.bidirectional else 1, rnn.hidden_sizes
    alike = len(set(sizes)) == 1
    h_0 = [torch.randn(D, 2, H, dtype=torch.float64) for H in sizes]
    hx = torch.cat(h_0) if alike else h_0
    options = {"mask": gaps, "reset": anew, "lengths": torch.tensor([9, 6])}

    def loss(out):
        weights = torch.arange(1.0, out[0].shape[-1] + 1, dtype=torch.float64)
        return (out[0] * weights).sin().sum()

    first = hx if alike else [h.clone() for h in h_0]
    leaves = [first.requires_grad_()] if alike else [h.requires_grad_() for h in first]
    expected = torch.autograd.grad(loss(rnn(x, first, **options)), leaves)
    expected = torch.cat(expected).flatten(0, 0) if alike else [d for of in expected for d in of]
    with torch.enable_grad(), watched(rnn) as passes:
        total = loss(rnn(x, hx.detach() if alike else h_0, **options))
    found = torch.autograd.grad(total, [of.nudge for of in passes])
    for k, (of, arriving) in enumerate(zip(passes, found, strict=True)):
        of.arriving = arriving
        begun = of.jacobians.at(0).back(measures.gradients(of)[0][:, None])[:, 0]
        torch.testing.assert_close(begun, expected[k], rtol=1e-9, atol=1e-11)


def test_both_ways_through_a_jacobian_are_one_matrix(rnn):
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    passes, _ = passes_of(rnn.double(), x)
    for of in passes:
        J = of.jacobians.at(slice(None), 1)
        H = len(of.weight)
        V, R = (torch.randn(5, H, H, dtype=torch.float64) for _ in range(2))
        torch.testing.assert_close(R @ J.onto(V), J.back(R) @ V, **CLOSE)
        torch.testing.assert_close(J.flip().dense(), J.dense().flip(0), **CLOSE)


def test_everything_can_be_looked_at(rnn):
    """A page without a number that is none, and a diagnosis with every number."""
    page = elman.view(rnn, torch.randn(8, 4))
    of = document(page.html)
    for chain in of["chains"]:
        for name, value in chain.items():
            if isinstance(value, dict):
                assert array(value).isfinite().all(), name
    found = elman.diagnose(rnn, torch.randn(12, 3, 4))
    figures = [layer.figures() for layer in found.layers]
    assert all(value is not None for of_layer in figures for value in of_layer.values())
    assert [layer.units for layer in elman.diagnose(rnn).layers] == [f.units for f in found.layers]


def test_the_norm_of_a_step_at_any_size():
    torch.manual_seed(3)
    for H in (5, 129):
        W, scale = torch.randn(H, H).double() / H**0.5, torch.rand(4, 1).double() + 0.5
        outer, e, even = (torch.rand(4, H).double() for _ in range(3))
        even = (even - even.mean(1, keepdim=True)) / even.std(1, correction=0, keepdim=True)
        J = Jacobians(W, outer, None, e, None, even, scale)
        truth = torch.linalg.matrix_norm(J.dense(), 2)
        torch.testing.assert_close(stretch(J), truth, rtol=1e-6, atol=0)


def test_a_leak_moves_the_exponents_as_it_moves_the_eigenvalues():
    """Of a linear network with a normal W: ln |1 - α + α λ|."""
    W = torch.diag(torch.tensor([0.9, 0.2, -0.5], dtype=torch.float64))
    rnn = elman.RNN(1, 3, nonlinearity="identity", dynamics=Dynamics(leak=0.25)).double()
    rnn.weight_hh_l0.data.copy_(W)
    layer = elman.diagnose(rnn, torch.randn(300, 1, 1, dtype=torch.float64)).layers[0]
    expected = sorted((math.log(0.75 + 0.25 * w) for w in (0.9, 0.2, -0.5)), reverse=True)
    np.testing.assert_allclose(layer.lyapunov, expected, atol=1e-6)
    steps = math.ceil(math.log(0.01) / math.log(0.975))
    assert (
        elman.diagnose(rnn, torch.zeros(500, 1, 1, dtype=torch.float64), ahead=400)
        .layers[0]
        .horizon
        == steps
    )


def test_a_leaky_network_remembers_longer():
    plain, leaky = made({}), made({"dynamics": Dynamics(leak=0.02)})
    x = torch.randn(150, 4)
    short, long = (elman.view(rnn, x).trace.memory[0] for rnn in (plain, leaky))
    assert long.gain[0] > 0.01 > short.gain[0] or long.lasts > 3 * short.lasts


@pytest.mark.parametrize("f", NONLINEARITIES)
def test_slopes(f):
    z = torch.linspace(-9, 9, 401, dtype=torch.float64)[:, None] + 1e-3
    at = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(NONLINEARITIES[f](at).sum(), at)
    function = Function(f)
    found = function.slopes(z)
    torch.testing.assert_close(found.own, slope, rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(function.values(z), NONLINEARITIES[f](z), rtol=0, atol=0)
    steepest = function.steepest(found)
    assert float(found.own.max()) <= steepest * (1 + 1e-12)
    near = torch.tensor([[-1e-9], [1e-9], [99.0]], dtype=torch.float64)  # somewhere here
    assert float(function.slopes(near).own.max()) == pytest.approx(steepest, rel=1e-6)
    held = function.slopes(z, 2.0).own
    torch.testing.assert_close(held, slope * (z.abs() < 2.0), rtol=1e-9, atol=1e-14)


def flat_share(f, values, **dynamics):
    """The share of saturated states of units whose z is given."""
    options = {"dynamics": Dynamics(**dynamics)} if dynamics else {}
    rnn = made({"nonlinearity": f, **options}, 1, len(values))
    with torch.no_grad():
        for parameter in rnn.parameters():
            nn.init.zeros_(parameter)
        rnn.bias_ih_l0.copy_(torch.tensor(values))
    return elman.diagnose(rnn, torch.zeros(3, 1, 1)).layers[0].saturated


@pytest.mark.parametrize(
    ("f", "under", "over"),
    [
        ("tanh", 2.6, 2.7),  # atanh 0.99 = 2.6467
        ("sigmoid", 5.2, 5.4),  # σ(1 - σ) = 0.0199 / 4 at 5.298
        ("hardtanh", 0.9, 1.1),
        ("hardsigmoid", 2.9, 3.1),
        ("softsign", 6.0, 6.2),  # 1 / √0.0199 - 1 = 6.09
        ("softplus", -3.8, -4.0),  # σ(z) = 0.0199 at -3.897
        ("elu", -3.8, -4.0),  # exp(z) = 0.0199 at -3.917
        ("selu", -3.8, -4.0),
        ("leaky_relu", 0.1, -0.1),
        (wave, 1.54, 1.56),  # cos z = 0.0199 at 1.5509
    ],
)
def test_saturated_means_a_slope_below_a_fiftieth_of_the_largest(f, under, over):
    assert flat_share(f, [under, over]) == 0.5


def test_what_a_clip_holds_is_saturated():
    assert flat_share("identity", [0.4, 0.6, -0.7, 0.0], clip=0.5) == 0.5


def test_a_function_of_all_units_may_be_too_much():
    rnn = made(STEPS["own, of all units"], 4, 700)
    with pytest.raises(ValueError, match=r"shared mixes 700 units.*give fewer steps or rows"):
        elman.view(rnn, torch.randn(500, 4))


def test_a_function_without_a_gradient():
    rnn = made({"nonlinearity": lambda z: torch.tensor(z.detach().numpy())})
    with pytest.raises(ValueError, match="f gives nothing that torch can differentiate"):
        elman.diagnose(rnn, torch.randn(5, 1, 4), loss=lambda out: out[0].sum())


FORMS = ["mask", "packed", "nested", "all", "last", "unbatched", "batch first"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["mean", "reverse", "sizes"])
def test_a_call_gives_what_it_gave(name, form):
    """The probe runs the layers itself and hands out its own numbers, in the form asked for."""
    rnn = wired(name).double()
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    options = {"states": form} if form in ("all", "last") else {}
    given = x
    if form == "mask":
        options = {"mask": torch.rand(6, 3) > 0.3, "reset": torch.rand(6, 3) < 0.3}
        given = x.masked_fill(~options["mask"][..., None], math.nan)  # what is not there
    elif form == "packed":
        given = nn.utils.rnn.pack_padded_sequence(x, [2, 6, 4], enforce_sorted=False)
    elif form == "nested":
        rows = [x[:n, k] for k, n in enumerate([2, 6, 4])]
        given = torch.nested.nested_tensor(rows, layout=torch.jagged)
    elif form == "unbatched":
        given = x[:, 0]
    elif form == "batch first":
        rnn.batch_first, given = True, x.transpose(0, 1)
    if form == "mask":  # which a learned first state wants told where a row begins
        D = 2 if rnn.bidirectional else 1
        options["hx"] = [torch.randn(D, 3, H, dtype=torch.float64) for H in rnn.hidden_sizes]
    with torch.no_grad():
        expected = rnn(given, **options)
    _, found = passes_of(rnn, given, **options)
    if form == "nested":
        expected, found = ((of[0].values(), of[1]) for of in (expected, found))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_state_to_begin_with_for_layers_of_different_sizes():
    rnn = wired("sizes")
    x, h_0 = torch.randn(5, 2, 4), [torch.randn(1, 2, H) for H in rnn.hidden_sizes]
    chains = elman.view(rnn, x, h_0, row=1).trace.chains
    with torch.no_grad():
        output, _ = rnn(x, h_0)
    torch.testing.assert_close(chains[-1].states, output[:, 1], rtol=0, atol=1e-6)
    assert all(torch.equal(of.first, h[0, 1]) for of, h in zip(chains, h_0, strict=True))
    with pytest.raises(ValueError, match=r"h_0 should be \[\(1, 3\), \(1, 7\), \(1, 5\)\] for one"):
        elman.view(rnn, x, torch.zeros(3, 2, 5))


def test_chaos_is_no_hindrance():
    """Two runs of it part from each other by rounding alone; each step is held on its own."""
    torch.manual_seed(0)
    rnn = elman.RNN(3, 64)
    nn.init.normal_(rnn.weight_hh_l0, std=0.6)
    memory = elman.view(rnn, torch.randn(300, 3)).trace.memory[0]
    assert memory.verdict == "exploding"


def test_the_line_that_says_what_it_is():
    page = elman.view(made(STEPS["all"]), torch.randn(3, 4))
    assert page.title == (
        "elman.RNN(4, 5, nonlinearity=elu, dynamics=Dynamics(leak=0.4, learn_leak=True, "
        "zoneout=0.1, recurrent_dropout=0.2, noise=0.5, clip=0.8, layer_norm=True))"
    )
    assert elman.view(made(STEPS["own"]), torch.randn(3, 4)).title.startswith(
        "elman.RNN(4, 5, wave"
    )
