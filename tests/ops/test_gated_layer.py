"""A layer between gates, in one piece and composed: its values and every gradient."""

import itertools

import pytest
import torch

from elman.ops import Gates, cpu, elsewhere, layer, use_backend
from elman.ops.activations import NONLINEARITIES, NUMBERS
from tests.ops.cases import LAYOUTS, SERVING, Layout
from tests.ops.gated import FORMS, forms, gates_for, like, looped, of_gates, results, same
from tests.ops.layers import bars_for, every_layout, flat, make, nested, one_or_two
from tests.tolerances import as_good, largest

SETS = ("g", "q", "e", "r", "gr", "gqer")


@every_layout
@one_or_two
def test_values_and_every_gradient(layout, D):
    made, bars = make(layout, D), bars_for(layout, D)
    cases = [(names, forms(layout)[0]) for names in SETS] + [
        ("gqer", form) for form in forms(layout)[1:]
    ]
    for names, form in cases:
        gates = gates_for(layout, D, names, form)
        given = made, gates, bars, layout
        same(results(layer, *given), results(looped(layout), *given), layout, (names, form))


@pytest.mark.parametrize("backend", [b for b in SERVING if b != "cpu"])
@pytest.mark.parametrize("layout", [LAYOUTS["dense,odd"], LAYOUTS["packed"]], ids=str)
def test_the_other_backends(backend, layout):
    made, bars = make(layout, 2), bars_for(layout, 2)
    for names, form in itertools.product(("gr", "gqer"), forms(layout)):
        given = made, gates_for(layout, 2, names, form), bars, layout
        with use_backend(backend):
            ours = results(layer, *given)
        same(ours, results(looped(layout), *given), layout, (names, form))


@one_or_two
@pytest.mark.parametrize("bound", [None, 0.4])
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_nonlinearity_and_bound(nonlinearity, bound, D):
    for name, names in itertools.product(("dense", "packed,zero-length"), ("", "g", "qer")):
        layout = LAYOUTS[name]
        made, bars = make(layout, D, True, nonlinearity), bars_for(layout, D)
        gates = gates_for(layout, D, names, "LNH") if names else []
        given = made, gates, bars, layout, nonlinearity, bound
        same(results(layer, *given), results(looped(layout), *given), layout, (name, names))


def test_gates_of_one_direction_alone():
    layout = LAYOUTS["packed"]
    made, bars = make(layout, 2), bars_for(layout, 2)
    for names in SETS:
        (one,) = gates_for(layout, 1, names, "LNH")
        for gates in ([one, Gates()], [Gates(), one]):
            given = made, gates, bars, layout
            same(results(layer, *given), results(looped(layout), *given), layout, names)


@pytest.mark.parametrize("layout", [LAYOUTS["dense"], LAYOUTS["packed"]], ids=["dense", "packed"])
def test_any_of_the_gradients_may_be_wanted(layout):
    made, bars = make(layout, 1), bars_for(layout, 1)
    for names, form in (("g", "H"), ("gr", ""), ("gqer", "LN")):
        gates = gates_for(layout, 1, names, form)
        for wants in itertools.product((False, True), repeat=3):
            wanted = [wants[0], wants[0], *(wants[1] for _ in names), *(wants[2],) * 4]
            given = made, gates, bars, layout, "tanh", None, wanted
            ours, truth = results(layer, *given), results(looped(layout), *given)
            same(ours, truth, layout, (names, wants))
        for k in range(len(names)):  # each gate alone
            wanted = [False, False, *(k == i for i in range(len(names))), *(False,) * 4]
            given = made, gates, bars, layout, "tanh", None, wanted
            ours, truth = results(layer, *given), results(looped(layout), *given)
            same(ours, truth, layout, (names, k))


def test_one_result_alone_may_be_reached():
    layout = LAYOUTS["packed,zero-length"]
    made, gates = make(layout, 2), gates_for(layout, 2, "gqer", "LNH")
    output_bar, h_n_bar = bars_for(layout, 2)
    for bars in ((output_bar, None), (None, h_n_bar)):
        given = made, gates, bars, layout
        same(results(layer, *given), results(looped(layout), *given), layout)


def test_gates_may_lie_in_memory_as_they_like():
    layout = Layout(5, 4, 6)
    made, bars = make(layout, 1), bars_for(layout, 1)
    (gates,) = gates_for(layout, 1, "gqer", "LNH")
    for lie in (
        lambda c: c.transpose(0, 1).contiguous().transpose(0, 1),
        lambda c: c.transpose(1, 2).contiguous().transpose(1, 2),
        lambda c: torch.stack((c, c), -1)[..., 0],
        lambda c: c[..., :1].expand(c.shape),
        lambda c: c[:1, :1].expand(c.shape),
    ):
        given = made, [Gates(*map(lie, gates))], bars, layout
        same(results(layer, *given), results(looped(layout), *given), layout)


@pytest.mark.parametrize("nonlinearity", ["tanh", "sigmoid"])
def test_float32_is_as_good_as_the_loop(nonlinearity):
    layout = Layout(30, 17, 21)
    made = make(layout, 1)
    for names, form in (("g", "H"), ("g", "LNH"), ("gqer", "LNH"), ("r", "LN")):
        gates, bars = gates_for(layout, 1, names, form), bars_for(layout, 1)
        x, h_0, weights = made
        low = x.float(), h_0.float(), [[w.float() for w in d] for d in weights]
        wide = low[0].double(), low[1].double(), [[w.double() for w in d] for d in low[2]]
        gates32 = like(gates, iter([c.float() for c in of_gates(gates)]))
        gates64 = like(gates, iter([c.double() for c in of_gates(gates32)]))
        bars32 = [b.float() for b in bars]
        bars64 = [b.double() for b in bars32]
        truth = results(looped(layout), wide, gates64, bars64, layout, nonlinearity)
        rival = results(looped(layout), low, gates32, bars32, layout, nonlinearity)
        ours = results(layer, low, gates32, bars32, layout, nonlinearity)
        for k, (got, other, want) in enumerate(zip(ours, rival, truth, strict=True)):
            good, says = as_good(got, other, want, 8 * layout.L, max(largest(want), float(k >= 2)))
            assert good, f"{names} {form} {k}: {says}"


@pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))
@pytest.mark.parametrize("layout", [Layout(60, 40, 24), Layout(50, 3, 300)], ids=str)
def test_as_many_threads_as_there_are_give_the_same_bits(layout):
    made, bars = make(layout, 2), bars_for(layout, 2)
    for names, form in (("g", "H"), ("gqer", "LNH"), ("r", "LN")):
        gates = gates_for(layout, 2, names, form)
        one = results(layer, made, gates, bars, layout)
        for threads in (2, 3):
            torch.set_num_threads(threads)
            try:
                several = results(layer, made, gates, bars, layout)
            finally:
                torch.set_num_threads(1)
            assert all(map(torch.equal, one, several)), (names, threads)


@pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))
@one_or_two
@pytest.mark.parametrize("layout", [LAYOUTS["dense,odd"], LAYOUTS["packed,zero-length"]], ids=str)
def test_the_operators_without_kernels_have_the_same_numbers(layout, D):
    x, h_0, *weights = flat(*make(layout, D))
    bars, sizes = bars_for(layout, D), layout.batch_sizes
    for names, wanted in (("g", 7 + 16), ("gr", 7 + 16), ("qr", 7 + 8), ("gqer", 7 + 8)):
        gates = gates_for(layout, D, names, "H" if wanted & 16 else "LNH")
        factors = [c for one in gates for c in one.flat(x)]
        f = True, NUMBERS["softplus"], 0.8, factors
        found = []
        for forward, backward in (
            (elsewhere._gated_layer, elsewhere._gated_layer_backward),
            (torch.ops.elman.gated_layer.default, torch.ops.elman.gated_layer_backward.default),
        ):
            output, h_n, y = forward(x, h_0, weights, *f, True, sizes)
            bars_of = backward(*bars, x, h_0, output, y, weights, *f, sizes, wanted)
            found.append([output, h_n, y, *bars_of])
        same(found[0], found[1], layout, names)


@pytest.mark.parametrize(
    ("gates", "says"),
    [
        (Gates(g=torch.ones(4, 3, 5)), r"g should be \(4, 3, 4\), or one in the place of any"),
        (Gates(r=torch.ones(4, 3, 4).double()), "r should be a Tensor of torch.float32"),
        (Gates(q=0.5), "q should be a Tensor"),
        (Gates(e=torch.ones(3, 4)), r"e should be \(4, 3, 4\)"),
    ],
)
def test_what_does_not_fit_is_said(gates, says):
    W = torch.zeros(4, 2), torch.zeros(4, 4)
    with pytest.raises((TypeError, ValueError), match=says):
        layer(torch.zeros(4, 3, 2), torch.zeros(1, 3, 4), [W], gates=[gates])


# --- under autograd ---------------------------------------------------------------------------


def small(names, form, layout=None):
    layout = layout or Layout(3, 2, 2)
    x, h_0, weights = make(layout, 1)
    gates = gates_for(layout, 1, names, form)
    tensors = [t.requires_grad_() for t in (x, h_0, *of_gates(gates), *flat(x, h_0, weights)[2:])]

    def f(x, h_0, *rest):
        others = iter(rest)
        given = like(gates, others)
        return layer(x, h_0, nested(list(others), 1), "tanh", layout.batch_sizes, given)

    return tensors, f


@pytest.mark.parametrize(("names", "form"), [("g", "H"), ("gqer", "LNH"), ("r", "LN")])
@pytest.mark.parametrize("layout", [Layout(3, 2, 2), LAYOUTS["packed,L=1"]], ids=str)
def test_derivatives_are_differences(names, form, layout):
    tensors, f = small(names, form, layout)
    assert torch.autograd.gradcheck(f, tensors, fast_mode=True)
    assert torch.autograd.gradgradcheck(f, tensors, fast_mode=True)


@pytest.mark.parametrize("written", ["all", "a part", "unseen"])
def test_an_output_written_in_is_computed_again(written):
    tensors, f = small("gqer", "LNH")
    expected = torch.autograd.grad(f(*tensors)[1].sum(), tensors)
    output, h_n = f(*tensors)
    with torch.set_grad_enabled(written != "unseen"):
        (output[1:] if written == "a part" else output).mul_(3)
    for got, want in zip(torch.autograd.grad(h_n.sum(), tensors), expected, strict=True):
        assert torch.equal(got, want)


def test_a_gate_written_in_is_an_error():
    tensors, f = small("g", "LNH")
    gate = tensors[2] * 1
    output, _ = f(*tensors[:2], gate, *tensors[3:])
    gate.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_many_gradients_at_once():
    tensors, f = small("gqer", "LNH")
    output, _ = f(*tensors)
    bars = torch.randn(4, *output.shape, dtype=torch.float64)
    many = torch.autograd.grad(output, tensors, bars, is_grads_batched=True, retain_graph=True)
    for k, bar in enumerate(bars):
        alone = torch.autograd.grad(output, tensors, bar, retain_graph=True)
        for got, want in zip(many, alone, strict=True):
            torch.testing.assert_close(got[k], want, rtol=0, atol=1e-13)


# --- in a graph -------------------------------------------------------------------------------


@pytest.mark.parametrize("dynamic", [False, True])
def test_torch_compile_takes_it_whole(dynamic):
    torch._dynamo.reset()

    def run(x, h_0, W_ih, W_hh, g, r):
        return layer(x, h_0, [(W_ih, W_hh)], "sigmoid", None, [Gates(g=g, r=r)], 0.9)

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for L in (4, 6, 9):
        x, h_0, ((W_ih, W_hh),) = make(Layout(L, 3, 5), 1, bias=False)
        tensors = [x, h_0, W_ih, W_hh, torch.rand(1, 1, 5).double(), torch.rand(L, 3, 1).double()]
        found = []
        for f in (run, compiled):
            leaves = [t.detach().requires_grad_() for t in tensors]
            output, h_n = f(*leaves)
            loss = output.sin().sum() + h_n.sum()
            found.append([output, h_n, *torch.autograd.grad(loss, leaves)])
        for got, want in zip(*found, strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=1e-13)


class Leaky(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = torch.nn.ParameterList([torch.randn(5, 3) / 3, torch.randn(5, 5) / 5])
        self.leak = torch.nn.Parameter(torch.rand(1, 1, 5))

    def forward(self, x, h_0):
        return layer(x, h_0, [list(self.weights)], "elu", None, [Gates(g=self.leak)], 2.0)


def test_torch_export_takes_a_length_that_varies():
    leaky, h_0 = Leaky(), torch.zeros(1, 2, 5)
    L = torch.export.Dim("L", min=2, max=64)
    program = torch.export.export(
        leaky, (torch.randn(7, 2, 3), h_0), dynamic_shapes=({0: L}, None)
    ).module()
    for length in (2, 12):
        x = torch.randn(length, 2, 3)
        for got, want in zip(program(x, h_0), leaky(x, h_0), strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=1e-6)


@one_or_two
@pytest.mark.parametrize("names", ["g", "r", "q", "gr", "gqr"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "layout", [LAYOUTS["dense,odd"], LAYOUTS["packed"]], ids=["dense", "packed"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_gates_of_bools_are_their_numbers(dtype, layout, form, names, D):
    """The same bits: one and zero multiply as they do as numbers."""
    x, h_0, weights = make(layout, D)
    flags = gates_for(layout, D, names, form)
    flags = [Gates(*(None if c is None else c > 0.1 for c in one)) for one in flags]
    numbers = [Gates(*(None if c is None else c.to(dtype) for c in one)) for one in flags]
    leaves = [t.to(dtype).requires_grad_() for t in flat(x, h_0, weights)]

    def run(gates):
        output, h_n = layer(
            leaves[0], leaves[1], nested(leaves[2:], D), "tanh", layout.batch_sizes, gates
        )
        found = torch.autograd.grad(output.sum() + h_n.square().sum(), leaves)
        return [output, h_n, *found]

    for one, other in zip(run(flags), run(numbers), strict=True):
        assert torch.equal(one, other)


def test_a_gate_of_bools_keeps_no_y():
    """Unless there is e, or the other direction keeps one; its gradients are those of numbers."""
    layout = LAYOUTS["dense,odd"]
    tensors = [t.float() for t in flat(*make(layout, 2))]
    first, second = gates_for(layout, 2, "ge", "LNH")
    flags, numbers = first.g > 0.1, (first.g > 0.1).float()
    g, e = second.g.float(), second.e.float()
    for one, other, kept in [
        (Gates(flags), Gates(flags), False),
        (Gates(flags, e=e), Gates(flags), True),
        (Gates(flags), Gates(g), True),
    ]:
        factors = [*one.flat(tensors[0]), *other.flat(tensors[0])]
        found = torch.ops.elman.gated_layer.default(
            tensors[0], tensors[1], tensors[2:], True, NUMBERS["tanh"], 0.0, factors, True, None
        )
        assert (found[2].numel() > 0) == kept
        both = []
        for gates in ((one, other), (one._replace(g=numbers), _numbers(other))):
            leaves = [t.detach().requires_grad_() for t in tensors]
            output, _ = layer(leaves[0], leaves[1], nested(leaves[2:], 2), "tanh", None, gates)
            both.append(torch.autograd.grad(output.square().sum(), leaves))
        assert all(map(torch.equal, *both))


def _numbers(gates):
    return Gates(*(None if c is None else c.float() for c in gates))
