"""The CUDA kernels, their threads run on the processor (`emulator.h`): against the plain loop.

All that a GPU runs is here but what only it has a word for. Whoever reads what has not come, writes
where another still reads, or waits for ever, is found out: who is next is drawn by lot. A kernel
takes a second to compile, so each case has a reason to be there.

Roundings, for tolerances.py, are those of test_agreement.py. Gradients of a layer are sums over
its rows of products of what carries as much: 4 L roundings, of numbers around the largest of them.
"""

import shutil

import pytest
import torch
from torch import nn

import elman
from elman.nn import ragged
from elman.ops import composed, cuda, linear_scan, reference, scan, use_backend
from elman.ops.activations import NONLINEARITIES
from elman.ops.cuda import compiled, products
from elman.ops.cuda import layer as whole
from elman.ops.cuda.plans import Plan
from elman.ops.layer import layer_with_lengths
from tests.ops import emulator
from tests.ops.cases import (
    Layout,
    gated_inputs,
    linear_inputs,
    packed,
    scan_inputs,
    uniform,
    values_and_gradients,
)
from tests.ops.test_agreement import as_good_as_the_loop, linear_of, named, scan_of
from tests.tolerances import as_good, largest

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
f32, bf16, f16 = torch.float32, torch.bfloat16, torch.float16

#: A dtype, and blocks, units, rows, warps, slices, tiles, kept, ahead: of the weight all is
#: kept in registers, or some; a cluster has all rows, or some; a unit is of two tiles or one.
CUTS = {
    "float32, alone": (f32, Plan(1, 96, 3, 2, 2, 3, 4, 2)),
    "float32, three blocks": (f32, Plan(3, 32, 2, 4, 4, 1, 4, 3)),
    "float32, two units a lane": (f32, Plan(2, 64, 1, 4, 4, 2, 8, 1)),
    "bfloat16, alone": (bf16, Plan(1, 48, 8, 3, 1, 1, 3, 2)),
    "bfloat16, three blocks": (bf16, Plan(3, 16, 5, 1, 1, 1, 2, 4)),
    "float16, two tiles a warp": (f16, Plan(2, 32, 16, 2, 2, 2, 1, 2)),
}
every_cut = pytest.mark.parametrize(("dtype", "cut"), CUTS.values(), ids=CUTS)
#: More rows than a cluster has, units that fill no block, rows that begin late, end early, are not.
DENSE, ODD = Layout(5, 3, 40), Layout(4, 9, 35, strided=True)
ENDING = packed(4, 3, 1, 0, H=40)


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    """Tensors of the CPU are served, in the emulator."""
    monkeypatch.setattr(compiled, "loaded", emulator.loaded)
    monkeypatch.setattr(cuda, "serves", lambda device, dtype, H=None: None)
    forget()
    yield
    forget()


def forget():
    cuda._kernel.cache_clear()
    cuda._launches_of.cache_clear()


@pytest.fixture
def cut_up(monkeypatch):
    """Have every scan cut up so."""

    def by(cut):
        forget()
        monkeypatch.setattr(cuda, "plan", lambda *_: cut)

    return by


def of_scan(layout, dtype, reverse, groups, nonlinearity="tanh", **more):
    tensors = {n: t.to(dtype) for n, t in named(scan_inputs(layout, groups, nonlinearity)).items()}
    hold(layout, tensors, (reference.scan, scan), scan_of, nonlinearity, layout, reverse)


def hold(layout, tensors, functions, of, *how):
    """The CUDA kernel as good as the loop in its dtype, by the loop in float64."""
    loop, ours = of(functions[0], *how), of(functions[1], *how, backend="cuda")
    rows = tensors.get("a", tensors.get("x"))
    out_bar = uniform(*rows.shape).to(rows.dtype)
    wide = {n: t.double() for n, t in tensors.items()}
    truth = values_and_gradients(loop, wide, out_bar.double())
    rival = values_and_gradients(loop, tensors, out_bar)
    as_good_as_the_loop(values_and_gradients(ours, tensors, out_bar), rival, truth, layout)


# --- values and every gradient ---------------------------------------------------------------


@every_cut
@pytest.mark.parametrize(
    ("layout", "reverse", "groups"),
    [(DENSE, False, None), (ENDING, True, None), (ODD, False, 2), (ENDING, False, 2)],
    ids=["dense", "packed, reverse", "strided, groups", "packed, groups"],
)
def test_scan(cut_up, dtype, cut, layout, reverse, groups):
    cut_up(cut)
    of_scan(layout, dtype, reverse, groups, "relu" if groups else "tanh")


@pytest.mark.parametrize("factors", ["", "p", "qe", "pqe"])
@pytest.mark.parametrize("name", ["float32, three blocks", "bfloat16, three blocks"])
def test_linear_scan(cut_up, name, factors):
    dtype, cut = CUTS[name]
    cut_up(cut)
    layout = ENDING if "e" in factors else DENSE
    tensors = {n: t.to(dtype) for n, t in linear_inputs(layout, None, factors).items()}
    hold(layout, tensors, (reference.linear_scan, linear_scan), linear_of, layout, True)


@pytest.mark.parametrize("gates", ["g", "q", "gqe"])
@pytest.mark.parametrize("name", ["float32, alone", "float16, two tiles a warp"])
def test_gated_scan(cut_up, name, gates):
    dtype, cut = CUTS[name]
    cut_up(cut)
    layout = Layout(3, 2, 30) if "alone" in name else packed(3, 2, 2, H=64)
    tensors = {n: t.to(dtype) for n, t in gated_inputs(layout, None, gates).items()}
    given = {name: tensors.get(name) for name in ("a", "weight_hh", "h_0", "g", "q", "e")}
    if given["g"] is not None and given["e"] is None:
        given["e"] = 1 - given["g"]
    a, W, h_0, *between = given.values()
    time = layout.batch_sizes, False
    ours = cuda.gated_scan(a, W, h_0, "tanh", *between, 0.5, *time)
    rival = reference.gated_scan(a, W, h_0, "tanh", *between, 0.5, *time)
    wide = [None if t is None else t.double() for t in between]
    truth = reference.gated_scan(a.double(), W.double(), h_0.double(), "tanh", *wide, 0.5, *time)
    for which, (mine, other, true) in enumerate(zip(ours, rival, truth, strict=True)):
        if which == 1 and between[0] is None and between[2] is None:
            assert mine.numel() == 0  # y is h
            continue
        good, says = as_good(mine, other, true, 4 * layout.L, 1.0)
        assert good, says


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_nonlinearity_and_its_slope(cut_up, nonlinearity):
    """Of a whole layer, which has both, at sizes where nothing can be lost."""
    cut_up(CUTS["float32, alone"][1])
    held_to_composed(Layout(2, 2, 20), 1, 3, nonlinearity)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid"])
def test_what_is_not_finite_comes_out_as_torchs(cut_up, nonlinearity):
    cut_up(CUTS["float32, alone"][1])
    a = torch.tensor([float("nan"), float("inf"), -float("inf"), 3e38, -1e-42, 0.0])[None, None]
    zero = torch.zeros(6, 6), torch.zeros(1, 6)
    ours, loop = (f(a, *zero, nonlinearity).flatten() for f in (cuda.scan, reference.scan))
    assert torch.allclose(ours, loop, rtol=1e-6, atol=1e-44, equal_nan=True), (ours, loop)


# --- a layer, whole ----------------------------------------------------------------------------


def weights_of(D, H_in, H, bias=True):
    shapes = [(H, H_in), (H, H), *([(H,), (H,)] if bias else [])]
    return [uniform(*shape) / shape[-1] ** 0.5 for _ in range(D) for shape in shapes]


def held_to_composed(layout, D, H_in, nonlinearity="tanh", bias=True, initial=True, bars="on"):
    """The layer and its gradients, in float32, as the layer composed of loops has them."""
    sizes, H = layout.batch_sizes, layout.H
    rows = layout.sequence_shape(None)[:-1]
    x, h_0 = uniform(*rows, H_in), uniform(D, layout.N, H)
    weights = weights_of(D, H_in, H, bias)
    given_bars = uniform(*rows, D * H), uniform(D, layout.N, H)
    output_bar, h_n_bar = (b if n in bars else None for n, b in zip("on", given_bars, strict=True))
    if not initial:
        h_0 = torch.zeros_like(h_0)

    def loop(dtype):
        leaves = [t.to(dtype).requires_grad_() for t in (x, h_0, *weights)]
        each = 4 if bias else 2
        ways = [leaves[2 + k : 2 + k + each] for k in range(0, len(weights), each)]
        with use_backend("reference"):
            kind = composed.Kind(nonlinearity, bias)
            results = composed.composed(kind, leaves[0], leaves[1], ways, (), sizes)
        given = [(r, b) for r, b in zip(results, (output_bar, h_n_bar), strict=True)
                 if b is not None]  # fmt: skip
        found = torch.autograd.grad(
            [r for r, _ in given], leaves, [b.to(dtype) for _, b in given], allow_unused=True
        )
        found = [
            torch.zeros_like(t) if g is None else g for t, g in zip(leaves, found, strict=True)
        ]
        return [*(r.detach() for r in results), *found]

    narrow = [None if t is None else t.float() for t in (x, h_0 if initial else None, *weights)]
    output, h_n = whole.layer(*narrow[:2], narrow[2:], bias, nonlinearity, sizes)
    bars32 = [None if b is None else b.float() for b in (output_bar, h_n_bar)]
    found = whole.layer_backward(
        *bars32, *narrow[:2], output, narrow[2:], bias, nonlinearity, sizes, (True, initial, True)
    )
    steps = 4 * max(1, layout.L)
    for k, (ours, rival, truth) in enumerate(
        zip([output, h_n, *found], loop(f32), loop(torch.float64), strict=True)
    ):
        if k == 3 and not initial:
            assert ours is None
            continue
        good, says = as_good(ours, rival, truth, steps, max(1.0, largest(truth)))
        assert good, f"result {k}: {says}"


@pytest.mark.parametrize("most", [0, 2**30], ids=["torch's products", "at once"])
@pytest.mark.parametrize("D", [1, 2], ids=["one direction", "both"])
@pytest.mark.parametrize("initial", [True, False], ids=["h_0", "no h_0"])
def test_a_dense_layer(cut_up, monkeypatch, most, D, initial):
    monkeypatch.setattr(whole, "MOST", most)
    cut_up(CUTS["float32, three blocks"][1])
    held_to_composed(Layout(3, 4, 70), D, 5, bias=D == 1, initial=initial)


@pytest.mark.parametrize("D", [1, 2], ids=["one direction", "both"])
@pytest.mark.parametrize("initial", [True, False], ids=["h_0", "no h_0"])
def test_rows_with_lengths(cut_up, D, initial):
    """As each of them alone, whole: in any order, a row without a step among them."""
    cut_up(CUTS["float32, three blocks"][1])
    lengths, H = [2, 5, 0, 3, 1], 70
    x = torch.randn(6, 5, 4, requires_grad=True)
    h_0 = torch.randn(D, 5, H) * initial
    h_0.requires_grad_()
    weights = [w.float().requires_grad_() for w in weights_of(D, 4, H)]
    live = torch.arange(6)[:, None, None] < torch.tensor(lengths)[:, None]

    def alone(dtype):
        leaves = [t.detach().to(dtype).requires_grad_() for t in (x, h_0, *weights)]
        ways = [leaves[2 + 4 * d : 6 + 4 * d] for d in range(D)]
        outputs, last = torch.zeros(6, 5, D * H, dtype=dtype), leaves[1].clone()
        with use_backend("reference"):
            for n, length in enumerate(lengths):
                part = leaves[0][:length, n : n + 1], leaves[1][:, n : n + 1]
                output, h_n = composed.composed(composed.Kind("tanh", True), *part, ways, (), None)
                outputs[:length, n] = output[:, 0]
                last[:, n] = h_n[:, 0]
        return outputs, last, leaves

    given = torch.randn(6, 5, D * H), torch.randn(D, 5, H)
    results = {}
    for dtype in (f32, torch.float64):
        output, h_n, leaves = alone(dtype)
        bars = [b.to(dtype) for b in given]
        found = torch.autograd.grad([output, h_n], leaves, bars)
        results[dtype] = [output, h_n, *found]
    told = torch.tensor(lengths, dtype=torch.int32)
    leaves = [t.detach() for t in (x * live, h_0, *weights)]
    start = leaves[1] if initial else None
    output, h_n = whole.layer(leaves[0], start, leaves[2:], True, "tanh", told)
    found = whole.layer_backward(
        *given, leaves[0], start, output, leaves[2:], True, "tanh", told, (True, initial, True)
    )
    for k, ours in enumerate([output, h_n, *found]):
        if k == 3 and not initial:
            assert ours is None
            continue
        rival, truth = (results[dtype][k] for dtype in (f32, torch.float64))
        good, says = as_good(ours, rival, truth, 4 * 6, max(1.0, largest(truth)))
        assert good, f"result {k}: {says}"


def test_rows_with_lengths_have_derivatives_of_derivatives(monkeypatch):
    """By gates that hold a state: as a packed batch has them."""
    cut = torch.tensor([2, 4, 0], dtype=torch.int32)
    rnn, x = elman.RNN(3, 4, bidirectional=True), torch.randn(4, 3, 3)

    def results(run):
        leaf = x.clone().requires_grad_()
        output, h_n = run(leaf)
        loss = output.square().sum() + (h_n.sin()).sum()
        leaves = [leaf, *rnn.parameters()]
        first = torch.autograd.grad(loss, leaves, create_graph=True)
        return *first, *torch.autograd.grad(sum(g.square().sum() for g in first), leaves)

    def ours(leaf):
        live = torch.arange(4)[:, None, None] < cut[:, None]
        ways, zero = rnn.all_weights, torch.zeros(2, 3, 4)
        return layer_with_lengths(leaf.where(live, 0), zero, ways, "tanh", cut)

    for a, b in zip(results(ours), results(lambda leaf: rnn(leaf, lengths=cut)), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64], ids=str)
def test_lengths_as_a_user_gives_them(dtype):
    """L is more than the integers of the lengths may hold; what lies beyond is never read."""
    rnn, lengths = elman.RNN(3, 4, num_layers=2), torch.tensor([2, 0, 3], dtype=dtype)
    x = torch.randn(300, 3, 3)
    expected = rnn(x, lengths=lengths)
    x[3:] = float("nan")
    for ours, other in zip(ragged.forward(rnn, x, None, lengths), expected, strict=True):
        assert torch.allclose(ours, other, atol=1e-6)
    with pytest.raises(ValueError, match="lengths should be 3 integers"):
        ragged.forward(rnn, x, None, lengths[:2])
    with pytest.raises(RuntimeError, match="lengths should lie between 0 and L"):
        ragged.forward(rnn, x[:2], None, lengths)


@pytest.mark.parametrize("initial", [True, False], ids=["h_0", "no h_0"])
def test_a_layer_whose_product_is_made_beside_the_scan(cut_up, monkeypatch, initial):
    """In two launches, the second from where the first has ended: the same bits."""
    cut_up(CUTS["float32, three blocks"][1])
    x, weights = torch.randn(7, 4, 5), [w.float() for w in weights_of(1, 5, 70, bias=initial)]
    h_0 = torch.randn(1, 4, 70) if initial else None
    at_once = whole.layer(x, h_0, weights, initial, "tanh", None)
    monkeypatch.setattr(whole.beside, "steps_before", lambda x, H: 3)
    for one, other in zip(
        at_once, whole.layer(x, h_0, weights, initial, "tanh", None), strict=True
    ):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)  # torch's product is another
    held_to_composed(Layout(7, 4, 70), 1, 5, bias=initial, initial=initial)


def test_how_much_of_a_product_is_made_beside():
    few, many = torch.empty(512, 8, 512), torch.empty(512, 3000, 512)
    assert 0 < whole.beside.steps_before(few.expand(64, *few.shape).flatten(0, 1), 512) < 64 * 512
    assert whole.beside.steps_before(many, 512) == 512  # all multiprocessors have rows
    assert whole.beside.steps_before(few[:4], 512) == 4  # not worth it


@pytest.mark.parametrize("bars", ["o", "n"], ids=["output alone", "h_n alone"])
@pytest.mark.parametrize(
    "layout", [Layout(3, 4, 20), packed(3, 2, 0, H=20)], ids=["dense", "packed"]
)
def test_what_arrives_may_be_absent(cut_up, layout, bars):
    cut_up(CUTS["float32, alone"][1])
    held_to_composed(layout, 2, 3, bars=bars)


@pytest.mark.parametrize("layout", [Layout(0, 2, 4), Layout(2, 0, 4), packed(0, 0, H=4)], ids=str)
def test_a_layer_of_nothing(cut_up, layout):
    cut_up(CUTS["float32, alone"][1])
    held_to_composed(layout, 1, 3)


def test_products_of_many_tiles(monkeypatch):
    """Over the side of a tile every way, and an inner dimension that its blocks share out."""
    held_to_composed(Layout(9, 20, 70), 1, 67)


@pytest.mark.parametrize("D", [1, 2], ids=["one direction", "both"])
def test_products_that_clusters_share_out(monkeypatch, D):
    """A sum over many rows: each leaves its own, and the last adds them up."""
    monkeypatch.setattr(products, "LONG", 100)
    monkeypatch.setattr(products, "SHARE", 40)
    held_to_composed(Layout(9, 20, 70), D, 67)


def test_in_use_with_derivatives_of_derivatives(monkeypatch):
    """A network of two layers, both ways: as the loop, and what it saved may be written in."""
    rnn = elman.RNN(3, 4, num_layers=2, bidirectional=True)
    x = torch.randn(3, 2, 3)

    def results(backend, f=f32):
        network, leaf = rnn.to(f), x.to(f).requires_grad_()
        with use_backend(backend):
            output, h_n = network(leaf)
            loss = output.square().sum() + h_n.sum()
            leaves = [leaf, *network.parameters()]
            first = torch.autograd.grad(loss, leaves, create_graph=True)
            second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
        return [t.detach() for t in (output, h_n, *first, *second)]

    truth = results("reference", torch.float64)
    for ours, loop, true in zip(results("cuda"), results("reference"), truth, strict=True):
        # the second derivatives of two layers: as often the roundings of a step
        good, says = as_good(ours, loop, true, 4 * 3 * 2 * 4, max(1.0, largest(true)))
        assert good, says


# --- what the emulator is worth ----------------------------------------------------------------


MISTAKES = {
    "who does not wait": ("wait(gate, turn);", ""),
    "a gate that never opens": ("if (threadIdx.x == 0) expect(gate, BYTES);", ""),
    "inputs not there yet": ("wait_ahead<AHEAD - 1>();", ""),
    "no barrier": ("<AHEAD - 1>();\n    __syncthreads();", "<AHEAD - 1>();"),
}


@pytest.mark.parametrize(("right", "wrong"), MISTAKES.values(), ids=MISTAKES)
def test_a_kernel_that_is_wrong_is_found_out(cut_up, monkeypatch, right, wrong):
    part = compiled.part
    assert sum(part(name).count(right) for name in ("given.cuh", "scan.cuh")) == 1, right
    monkeypatch.setattr(compiled, "part", lambda name: part(name).replace(right, wrong))
    cut_up(CUTS["float32, three blocks"][1])

    def often():
        for _ in range(5):
            of_scan(Layout(6, 3, 90), f32, False, None)

    with pytest.raises(AssertionError):
        often()


def test_the_layer_as_a_user_calls_it_is_the_loops(monkeypatch):
    """By the name of the backend; on a CPU the layer is then composed of scans."""
    x = torch.randn(4, 2, 3)
    rnn = nn.RNN(3, 5)
    ours = elman.RNN(3, 5)
    ours.load_state_dict(rnn.state_dict())
    with use_backend("cuda"):
        output, h_n = ours(x)
    expected, last = rnn(x)
    assert torch.allclose(output, expected, atol=1e-6)
    assert torch.allclose(h_n, last, atol=1e-6)
