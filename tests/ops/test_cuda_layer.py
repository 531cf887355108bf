"""A layer whole in the CUDA kernels, their threads run on the processor: against the plain loop.

Roundings, for tolerances.py, are those of test_agreement.py. Gradients of a layer are sums over
its rows of products of what carries as much: 4 L roundings, of numbers around the largest of them.
"""

from importlib import import_module

import pytest
import torch
from torch import nn

import elman
from elman.nn import ragged
from elman.ops import composed, use_backend
from elman.ops.activations import NONLINEARITIES
from elman.ops.cuda import layer as whole
from elman.ops.cuda import products, small
from elman.ops.layer import layer_with_lengths
from tests.ops.cases import Layout, packed, uniform, weights_of
from tests.ops.emulator import CUTS, bf16, f32
from tests.tolerances import as_good, largest

pytestmark = pytest.mark.usefixtures("emulated")
in_ops = import_module("elman.ops.layer")  # elman.ops has a function of that name


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
    monkeypatch.setattr(small, "MOST", most)
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
    monkeypatch.setattr(small, "MOST", 0)
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


@pytest.mark.parametrize("dtype", [f32, bf16], ids=str)
@pytest.mark.parametrize("D", [1, 2], ids=["one direction", "both"])
def test_a_small_layer_wherever_its_tensors_lie(D, dtype):
    """Far apart, transposed, where no 16 bytes can be read at a time: the same bits."""
    weights, N, L, H = weights_of(D, 6, 24), 3, 4, 24
    tensors = [torch.randn(L, N, 6), torch.randn(D, N, H), *weights]
    bars = torch.randn(L, N, 1).expand(L, N, D * H), torch.randn(D, N, H)
    x, h_0, *weights = (t.to(dtype) for t in tensors)
    bars = [b.to(dtype) for b in bars]

    def elsewhere(t, of):
        room = torch.zeros(2 * t.numel() + 1, dtype=dtype)
        view = room[1 : 1 + t.numel()].view(t.shape) if of % 2 else room[::2][: t.numel()]
        return view.view(t.shape).copy_(t) if of < 2 else t.mT.contiguous().mT

    def results(x, h_0, weights, bars):
        output, h_n = whole.layer(x, h_0, weights, True, "tanh", None)
        given = x, h_0, output, weights, True, "tanh", None
        return output, h_n, *whole.layer_backward(*bars, *given, (True, True, True))

    expected = results(x, h_0, weights, [b.contiguous() for b in bars])
    for of in range(3):
        ws = [elsewhere(w, of) if w.dim() == 2 or of < 2 else w for w in weights]
        moved = elsewhere(x, of), elsewhere(h_0, of), ws, (bars[0], elsewhere(bars[1], of))
        for one, other in zip(results(*moved), expected, strict=True):
            assert torch.equal(one, other)


def test_only_what_is_wanted_of_a_small_layer_is_made():
    weights = [w.float() for w in weights_of(2, 3, 5)]
    x, h_0 = torch.randn(3, 2, 3), torch.randn(2, 2, 5)
    output, _ = whole.layer(x, h_0, weights, True, "tanh", None)
    given = torch.randn(3, 2, 10), None, x, h_0, output, weights, True, "tanh", None
    every = whole.layer_backward(*given, (True, True, True))
    parts = [0], [1], range(2, 10)
    for wanted in ((True, False, False), (False, True, False), (False, False, True)):
        found = whole.layer_backward(*given, wanted)
        made = [k for part, wants in zip(parts, wanted, strict=True) if wants for k in part]
        assert [k for k, bar in enumerate(found) if bar is not None] == made
        assert all(torch.equal(found[k], every[k]) for k in made)


def test_products_of_many_tiles(monkeypatch):
    """Over the side of a tile every way, and an inner dimension that its blocks share out."""
    held_to_composed(Layout(9, 20, 70), 1, 67)


@pytest.mark.parametrize("D", [1, 2], ids=["one direction", "both"])
def test_products_that_clusters_share_out(monkeypatch, D):
    """A sum over many rows: each leaves its own, and the last adds them up."""
    monkeypatch.setattr(products, "LONG", 100)
    monkeypatch.setattr(products, "SHARE", 40)
    held_to_composed(Layout(9, 20, 70), D, 67)


@pytest.mark.parametrize("D", [1, 2], ids=["one direction", "both"])
def test_products_whose_tiles_have_a_block_each(monkeypatch, D):
    """Not as many tiles as its clusters have blocks: some have none."""
    monkeypatch.setattr(products, "ALONE", 2)
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


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_nonlinearity_and_its_slope(cut_up, nonlinearity):
    """Of a whole layer, which has both, at sizes where nothing can be lost."""
    cut_up(CUTS["float32, alone"][1])
    held_to_composed(Layout(2, 2, 20), 1, 3, nonlinearity)


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
