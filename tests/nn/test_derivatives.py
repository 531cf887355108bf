"""Derivatives of the layer and the cell, of every order and in every mode, and no loop in them.

Against finite differences by torch's own checks, with torch's own tolerances, and against
torch.nn.RNN, whose CPU loop torch can differentiate as often as one likes.
"""

from itertools import combinations as pairs
from itertools import product

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, hessian, jacfwd, jacrev, jvp, vjp
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.utils._python_dispatch import TorchDispatchMode

import elman
from elman.ops import cpu
from tests.nn.parity import LENGTHS, build, keep_signs, make_inputs
from tests.tolerances import distance, largest

FORMS = ("unbatched", "batched", "batch first", *LENGTHS)
CHOICES = {
    "num_layers": (1, 2),
    "bidirectional": (False, True),
    "form": FORMS,
    "nonlinearity": ("tanh", "relu", "identity"),
    "bias": (False, True),
    "with_hx": (False, True),
}


def cases():
    """Few cases, yet any two choices meet in one of them."""
    every = [dict(zip(CHOICES, values, strict=True)) for values in product(*CHOICES.values())]
    left = {(i, j) for case in every for i, j in pairs(case.items(), 2)}
    while left:
        best = max(every, key=lambda case: sum(two in left for two in pairs(case.items(), 2)))
        left -= set(pairs(best.items(), 2))
        yield best


def name_of(case):
    return "-".join(f"{k}={v}" if v in (True, False) else str(v) for k, v in case.items())


every_case = pytest.mark.parametrize("case", list(cases()), ids=name_of)
three_forms = pytest.mark.parametrize("form", ["batched", "packed sorted", "packed unsorted"])
two_layers = {"num_layers": 2, "bidirectional": True, "nonlinearity": "tanh"}


def function(kind, form="batched", with_hx=True, steps=None, **arguments):
    """The layer as a function of everything: x or packed data, hx if there, each parameter."""
    arguments = {"batch_first": form == "batch first", **two_layers, **arguments}
    rnn = build(kind, arguments, torch.float64)
    x, hx = make_inputs(arguments, form, with_hx, torch.float64)
    if arguments["nonlinearity"] == "relu":  # no sum near zero, where the derivative jumps
        keep_signs(rnn, *(t if t is None else t.data for t in (x, hx)))
    x, lengths = x.detach(), LENGTHS.get(form)
    if steps is not None:
        x = x.repeat(steps, 1, 1)
        lengths = lengths and [n * steps for n in lengths]
    packed = None
    if lengths:  # torch's packing has no forward mode: it is done outside
        packed = pack_padded_sequence(x, lengths, enforce_sorted=form == "packed sorted")
        x = packed.data.clone()
    parameters = {n: p.detach() for n, p in rnn.named_parameters()}

    def f(x, *rest):
        hx, weights = (rest[0], rest[1:]) if with_hx else (None, rest)
        given = x if packed is None else packed._replace(data=x)
        named = dict(zip(parameters, weights, strict=True))
        output, h_n = functional_call(rnn, named, (given, hx))
        return (output.data if isinstance(output, PackedSequence) else output), h_n

    given = (x, *([hx.detach()] if with_hx else []), *parameters.values())
    return f, tuple(t.requires_grad_() for t in given)


def cell_function(kind, nonlinearity="tanh", bias=True, with_hx=True):
    torch.manual_seed(0)
    cell = kind(2, 3, bias=bias, nonlinearity=nonlinearity, dtype=torch.float64)
    names = [name for name, _ in cell.named_parameters()]
    x, hx = torch.randn(2, 2, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    if nonlinearity == "relu":
        with torch.no_grad():
            for t in (x, hx, *cell.parameters()):
                t.abs_()

    def f(x, *rest):
        hx, weights = (rest[0], rest[1:]) if with_hx else (None, rest)
        return functional_call(cell, dict(zip(names, weights, strict=True)), (x, hx))

    given = (x, *([hx] if with_hx else []), *(p.detach() for p in cell.parameters()))
    return f, tuple(t.requires_grad_() for t in given)


def check(f, inputs):
    many = {"check_batched_grad": True, "check_batched_forward_grad": True}
    assert gradcheck(f, inputs, check_forward_ad=True, **many)
    assert gradgradcheck(
        f, inputs, check_fwd_over_rev=True, check_batched_grad=True, fast_mode=True
    )


@every_case
def test_the_layer_against_differences(case):
    check(*function(elman.RNN, **case))


@pytest.mark.parametrize("nonlinearity", CHOICES["nonlinearity"])
@pytest.mark.parametrize(("bias", "with_hx"), [(True, True), (False, True), (True, False)])
def test_the_cell_against_differences(nonlinearity, bias, with_hx):
    check(*cell_function(elman.RNNCell, nonlinearity, bias, with_hx))


# --- beside torch ------------------------------------------------------------------------


def scalar(f):
    """One number of both results, in which every order of derivative has something to say."""

    def of(*inputs):
        results = f(*inputs)
        results = results if isinstance(results, tuple) else (results,)
        return sum(
            (r.square() * torch.arange(1, 1 + r.numel()).view(r.shape)).sum() for r in results
        )

    return of


def agree(ours, theirs):
    """Equal formulas in float64: some thousand roundings of the largest number among them."""
    ours, theirs = (torch.utils._pytree.tree_leaves(found) for found in (ours, theirs))
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert distance(mine, other) <= 1e-12 * max(1, largest(other))


@three_forms
def test_jacobians_agree_in_both_modes_and_with_torchs(form):
    f, inputs = function(elman.RNN, form)
    theirs, _ = function(nn.RNN, form)
    expected = torch.autograd.functional.jacobian(theirs, inputs)
    every = tuple(range(len(inputs)))
    agree(jacrev(f, every)(*inputs), expected)
    agree(jacfwd(f, every)(*inputs), expected)


@three_forms
def test_hessians_agree_in_four_ways_and_with_torchs(form):
    (f, inputs), (theirs, _) = function(elman.RNN, form), function(nn.RNN, form)
    f, theirs, rest = scalar(f), scalar(theirs), inputs[4:]
    some = (0, 1, 3)  # x, hx and a weight_hh

    def part(of):
        return lambda x, hx, weight_hh: of(x, hx, inputs[2], weight_hh, *rest)

    given = tuple(inputs[k] for k in some)
    expected = torch.autograd.functional.hessian(part(theirs), given)
    places = (0, 1, 2)
    agree(hessian(part(f), places)(*given), expected)
    for outer, inner in product((jacrev, jacfwd), repeat=2):
        agree(outer(inner(part(f), places), places)(*given), expected)
    agree(torch.autograd.functional.hessian(part(f), given), expected)


def repeatedly(of, inputs, direction, order):
    """The derivative of so many orders along one direction, and its gradient."""
    y = of(*inputs)
    for _ in range(order):
        gradients = torch.autograd.grad(y, inputs, create_graph=True)
        y = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    return [y.detach(), *torch.autograd.grad(y, inputs)]


@three_forms
def test_third_derivatives_agree_in_eight_ways_and_a_fourth_with_torchs(form):
    (f, inputs), (theirs, _) = function(elman.RNN, form), function(nn.RNN, form)
    direction = [torch.randn_like(t) / 4 for t in inputs]
    expected = repeatedly(scalar(theirs), inputs, direction, order=3)
    agree(repeatedly(scalar(f), inputs, direction, order=3), expected)

    def along(s):
        return scalar(f)(*(t + s * d for t, d in zip(inputs, direction, strict=True)))

    start = torch.zeros((), dtype=torch.float64)
    for modes in product((jacrev, jacfwd), repeat=3):
        third = along
        for mode in modes:
            third = mode(third)
        agree(third(start).detach(), expected[0])


def test_the_cell_is_torchs_in_every_mode():
    (f, inputs), (theirs, _) = cell_function(elman.RNNCell), cell_function(nn.RNNCell)
    every = tuple(range(len(inputs)))
    expected = torch.autograd.functional.jacobian(theirs, inputs)
    agree(jacrev(f, every)(*inputs), expected)
    agree(jacfwd(f, every)(*inputs), expected)
    expected = torch.autograd.functional.hessian(scalar(theirs), inputs)
    agree(hessian(scalar(f), every)(*inputs), expected)


@three_forms
def test_training_with_a_penalty_on_gradients(form):
    trained = []
    for kind in (elman.RNN, nn.RNN):
        f, (x, hx, *weights) = function(kind, form)
        optimizer = torch.optim.SGD(weights, 0.01)
        for _ in range(3):
            value = scalar(f)(x, hx, *weights)
            slopes = torch.autograd.grad(value, (x, hx), create_graph=True)
            (value + sum((g.norm() - 1).square() for g in slopes)).backward()
            optimizer.step()
            optimizer.zero_grad()
        trained.append(weights)
    agree(*trained)


# --- no loop over time -------------------------------------------------------------------


class Counting(TorchDispatchMode):
    """How many operations of torch run, in whatever transform."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        return func(*args, **(kwargs or {}))


def gradient(f, inputs):
    torch.autograd.grad(scalar(f)(*inputs), inputs)


def gradient_of_a_gradient(f, inputs):
    slopes = torch.autograd.grad(scalar(f)(*inputs), inputs, create_graph=True)
    torch.autograd.grad(sum(g.square().sum() for g in slopes), inputs)


def gradients_at_once(f, inputs):
    results = f(*inputs)
    bars = [r.expand(4, *r.shape).detach() for r in results]
    torch.autograd.grad(results, inputs, bars, is_grads_batched=True)


def tangent(f, inputs):
    jvp(f, inputs, inputs)


def cotangent(f, inputs):
    results, back = vjp(f, *inputs)
    back(results)


def tangent_of_a_gradient(f, inputs):
    jvp(torch.func.grad(scalar(f), tuple(range(len(inputs)))), inputs, inputs)


def tangent_of_a_tangent(f, inputs):
    jvp(lambda *t: jvp(f, t, inputs)[1], inputs, inputs)


def gradients_of_rows(f, inputs):
    x, *rest = inputs
    torch.func.vmap(torch.func.grad(scalar(f)), (0, *(None for _ in rest)))(
        x.expand(4, *x.shape), *rest
    )


ORDERS = (
    gradient,
    gradient_of_a_gradient,
    gradients_at_once,
    tangent,
    cotangent,
    tangent_of_a_gradient,
    tangent_of_a_tangent,
    gradients_of_rows,
)


@pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
@three_forms
def test_more_steps_are_not_more_operations(order, form):
    found = []
    for steps in (1, 4):
        f, inputs = function(elman.RNN, form, steps=steps)
        with Counting() as counting:
            order(f, inputs)
        found.append(counting.calls)
    assert found[0] == found[1] > 0
