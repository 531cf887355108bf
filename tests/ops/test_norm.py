"""A norm within the recurrence, in one piece and as a loop: values and every gradient.

The loop is torch's own layer_norm under torch's own autograd. With eps = 1 no row is multiplied by
more than one, so that nothing grows and the bounds of gated.py hold, with ten roundings more.
"""

import itertools

import pytest
import torch

from elman.ops import Norm, cpu, layer, reference, use_backend
from elman.ops.activations import NONLINEARITIES
from tests.ops.cases import LAYOUTS, SERVING, Layout
from tests.ops.gated import gates_for, looped, results, same
from tests.ops.layers import bars_for, every_layout, make, nested, one_or_two
from tests.tolerances import as_good, largest


def norms_for(layout, D, eps=1.0):
    def numbers():
        return torch.rand(layout.H, dtype=torch.float64)

    return [Norm(numbers() / 2 + 0.5, numbers() - 0.5, eps) for _ in range(D)]


def agree(layout, D, names="", form="LNH", f="tanh", bound=None, wanted=None, case="", bars=None):
    made, norms = make(layout, D, True, f), norms_for(layout, D)
    gates = gates_for(layout, D, names, form) if names else []
    given = made, gates, bars or bars_for(layout, D), layout, f, bound, wanted, norms
    same(results(layer, *given), results(looped(layout), *given), layout, case)


def test_one_step_by_hand():
    # z = (1, 3): mean 2, variance 1; (z - 2) / √(1 + 3) = ∓1/2; times (2, 4), plus (1, 1): (0, 3)
    norm = Norm(torch.tensor([2.0, 4.0]), torch.ones(2), 3.0)
    x, h_0 = torch.tensor([[[1.0, 3.0]]]), torch.zeros(1, 1, 2)
    W = torch.eye(2), torch.eye(2)
    output, _ = layer(x, h_0, [W], "identity", norms=[norm])
    assert output.flatten().tolist() == [0.0, 3.0]


@every_layout
@one_or_two
def test_values_and_every_gradient(layout, D):
    for names in ("", "g", "gqer"):
        agree(layout, D, names, case=names)


@pytest.mark.parametrize("backend", [b for b in SERVING if b != "cpu"])
def test_the_other_backends(backend):
    for name, names in itertools.product(("dense,odd", "packed"), ("", "gqer")):
        with use_backend(backend):
            agree(LAYOUTS[name], 2, names)


@pytest.mark.parametrize("bound", [None, 0.4])
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_nonlinearity_and_bound(nonlinearity, bound):
    for name in ("dense", "packed,zero-length"):
        agree(LAYOUTS[name], 2, "g", "H", nonlinearity, bound)


def test_any_of_the_gradients_may_be_wanted():
    for wants in itertools.product((False, True), repeat=4):
        wanted = [wants[0], wants[0], wants[1], wants[2], wants[2], *(wants[3],) * 4]
        for form in ("H", "LNH"):
            agree(LAYOUTS["packed"], 1, "g", form, wanted=wanted, case=(wants, form))


@pytest.mark.parametrize("layout", [Layout(60, 40, 24), Layout(50, 3, 300)], ids=str)
@pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))
def test_as_many_threads_as_there_are_give_the_same_bits(layout):
    made, norms, bars = make(layout, 2), norms_for(layout, 2), bars_for(layout, 2)
    gates = gates_for(layout, 2, "gr", "LNH")
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            found.append(results(layer, made, gates, bars, layout, norms=norms))
        finally:
            torch.set_num_threads(1)
    same(found[0], results(looped(layout), made, gates, bars, layout, norms=norms), layout)
    for several in found[1:]:
        assert all(map(torch.equal, found[0], several))


def lower(made, norms, dtype):
    x, h_0, weights = made
    low = x.to(dtype), h_0.to(dtype), [[w.to(dtype) for w in d] for d in weights]
    return low, [Norm(n.weight.to(dtype), n.bias.to(dtype), n.eps) for n in norms]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_low_precision_is_as_good_as_the_loop(dtype):
    layout = Layout(20, 9, 21)
    made, norms = lower(make(layout, 1), norms_for(layout, 1, 1e-1), dtype)
    wide = lower(made, norms, torch.float64)
    bars = [b.to(dtype) for b in bars_for(layout, 1)]
    truth = results(looped(layout), wide[0], [], [b.double() for b in bars], layout, norms=wide[1])
    rival = results(looped(layout), made, [], bars, layout, norms=norms)
    ours = results(layer, made, [], bars, layout, norms=norms)
    for k, (got, other, want) in enumerate(zip(ours, rival, truth, strict=True)):
        good, says = as_good(got, other, want, 8 * layout.L, max(largest(want), float(k >= 2)))
        assert good, f"{k}: {says}"


def small():
    layout = Layout(3, 2, 3)
    x, h_0, weights = make(layout, 1)
    (norm,) = norms_for(layout, 1)
    tensors = [t.requires_grad_() for t in (x, h_0, norm.weight, norm.bias, *weights[0])]

    def f(x, h_0, weight, bias, *weights):
        return layer(x, h_0, nested(weights, 1), norms=[Norm(weight, bias, 1.0)])

    return tensors, f


def test_derivatives_are_differences():
    tensors, f = small()
    assert torch.autograd.gradcheck(f, tensors, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(f, tensors, fast_mode=True)


def test_under_vmap():
    tensors, f = small()
    x = torch.stack([tensors[0], 2 * tensors[0]]).detach()
    rest = [t.detach() for t in tensors[1:]]
    got, _ = torch.func.vmap(lambda x: f(x, *rest))(x)
    for b in range(2):
        torch.testing.assert_close(got[b], f(x[b], *rest)[0], rtol=0, atol=1e-14)


def test_torch_compile_takes_it_whole():
    torch._dynamo.reset()
    tensors, f = small()
    compiled = torch.compile(f, fullgraph=True, backend="aot_eager")
    found = []
    for run in (f, compiled):
        output, h_n = run(*tensors)
        loss = output.sin().sum() + h_n.sum()
        found.append([output, h_n, *torch.autograd.grad(loss, tensors)])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-13)


@pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))
@pytest.mark.parametrize("layout", [LAYOUTS["dense"], LAYOUTS["packed"]], ids=["dense", "packed"])
def test_the_operator_keeps_torchs_rules(layout):
    x, h_0, ((*weights,),) = make(layout, 1)
    (norm,) = norms_for(layout, 1)
    even = [norm.weight, norm.bias]
    tensors = [t.requires_grad_() for t in (x, h_0, *weights, *even)]
    given = True, 0, 0.5, [], even, 1.0, True, layout.batch_sizes
    operator = torch.ops.elman.normed_layer.default
    torch.library.opcheck(operator, (x, h_0, weights, *given))
    x, h_0, *rest = (t.detach() for t in tensors)
    weights, even = rest[:4], rest[4:]
    output, _, y, normed, scales = operator(x, h_0, weights, True, 0, 0.5, [], even, *given[5:])
    operator = torch.ops.elman.normed_layer_backward.default
    states, bars = (output, y, normed, scales), bars_for(layout, 1)
    rest = weights, True, 0, 0.5, [], even, 1.0, layout.batch_sizes, 7 + 8 + 32
    torch.library.opcheck(operator, (*bars, x, h_0, *states, *rest))


def test_the_reference_is_torchs_layer_norm():
    a, W, h_0 = torch.randn(1, 2, 5), torch.zeros(5, 5), torch.zeros(2, 5)
    norm = torch.nn.LayerNorm(5)
    got, _ = reference.gated_scan(a, W, h_0, "identity", norm=Norm(norm.weight, norm.bias))
    torch.testing.assert_close(got[0], norm(a[0]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("norms", "says"),
    [
        ([Norm(torch.ones(4), torch.ones(4))] * 2, "one for each of 1 directions"),
        ([Norm(torch.ones(3), torch.ones(4))], r"weight should be \(4,\)"),
        ([Norm(torch.ones(4), torch.ones(4).double())], "bias should be a Tensor of torch.float32"),
        ([Norm(torch.ones(4), torch.ones(4), 0.0)], "eps should be above zero"),
    ],
)
def test_what_does_not_fit_is_said(norms, says):
    W = torch.zeros(4, 2), torch.zeros(4, 4)
    with pytest.raises((TypeError, ValueError), match=says):
        layer(torch.zeros(4, 3, 2), torch.zeros(1, 3, 4), [W], norms=norms)
