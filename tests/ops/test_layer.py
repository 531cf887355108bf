"""A layer in one piece against the same layer composed of `scan` and torch's own products.

Roundings, for tolerances.py. A step sums K + H products and four more terms and f rounds once:
K + H + 5. Otherwise as in test_agreement.py: L² N (K + H + 5), and no term of a gradient's sums is
larger than L·max|out_bar|·max|h|, h_n's gradient adding one to the output's. The rows of the
weights add up to at most one in absolute value, so that nothing grows.
"""

import itertools
import subprocess
import sys
import weakref

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

import elman
from elman.ops import cpu, layer
from elman.ops.layer import _composed
from tests.ops.cases import LAYOUTS, NONLINEARITIES, Layout, uniform
from tests.tolerances import as_good, distance, largest, worst

pytestmark = pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))

K = 3
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
one_or_two = pytest.mark.parametrize("D", [1, 2], ids=["forward", "both"])


def make(layout, D, bias=True, nonlinearity="tanh", K=K):
    """x, h_0 and the weights, in float64; for relu no sum comes near zero, as in cases.py."""
    H, strided = layout.H, layout.strided
    x = uniform(*layout.sequence_shape(None)[:-1], K, strided=strided)
    h_0 = torch.stack([uniform(layout.N, H, strided=strided) for _ in range(D)])
    weights = []
    for _ in range(D):
        W_ih, W_hh = uniform(H, K, strided=strided) / K, uniform(H, H, strided=strided) / H
        biases = [uniform(H) / 2, uniform(H) / 2]
        if nonlinearity == "relu":  # every term of a unit's sum has its sign
            x, h_0 = x.abs() + 0.1, h_0.abs()
            signs = torch.where(torch.arange(H) % 3 == 1, -1.0, 1.0).double()
            W_ih, W_hh = W_ih.abs() * signs[:, None], W_hh.abs() * signs[:, None]
            biases = [b.abs() * signs for b in biases]
        weights.append([W_ih, W_hh, *(biases if bias else [])])
    return x, h_0, weights


def flat(x, h_0, weights):
    return [x, h_0, *(w for direction in weights for w in direction)]


def nested(tensors, D):
    each = len(tensors) // D
    return [tensors[k : k + each] for k in range(0, len(tensors), each)]


def results(f, tensors, D, bars, nonlinearity, batch_sizes, wanted=None):
    """The output, h_n and the gradients of what is wanted, of everything by default."""
    leaves = [
        t.detach().requires_grad_(wanted is None or wants)
        for t, wants in zip(tensors, wanted or tensors, strict=True)
    ]
    output, h_n = f(leaves[0], leaves[1], nested(leaves[2:], D), nonlinearity, batch_sizes)
    found = [output.detach(), h_n.detach()]
    asked = [leaf for leaf in leaves if leaf.requires_grad]
    given = [(r, bar) for r, bar in zip((output, h_n), bars, strict=True) if bar is not None]
    if not asked or not any(r.requires_grad for r, _ in given):
        return found
    return found + list(
        torch.autograd.grad(
            [r for r, _ in given], asked, [bar for _, bar in given], materialize_grads=True
        )
    )


def bars_for(layout, D):
    wide = (*layout.sequence_shape(None)[:-1], D * layout.H)
    return uniform(*wide, strided=layout.strided), uniform(D, layout.N, layout.H)


def same(ours, truth, layout, K=K, case=""):
    steps = max(1, layout.L) ** 2 * max(1, layout.N) * (K + layout.H + 5)
    allowed = worst(steps, 2 * max(1, layout.L) * max(1.0, largest(truth[0])))
    assert len(ours) == len(truth), case
    for k, (got, want) in enumerate(zip(ours, truth, strict=True)):
        assert got.shape == want.shape, f"{case} {k}"
        assert distance(got, want) <= allowed, f"{case} {k}"


def agree(tensors, layout, D, bars, nonlinearity="tanh", case="", wanted=None):
    given = tensors, D, bars, nonlinearity, layout.batch_sizes, wanted
    same(results(layer, *given), results(_composed, *given), layout, case=case)


@every_layout
@one_or_two
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_values_and_every_gradient(layout, D, nonlinearity, bias):
    tensors = flat(*make(layout, D, bias, nonlinearity))
    agree(tensors, layout, D, bars_for(layout, D), nonlinearity)


@pytest.mark.parametrize("layout", [LAYOUTS["dense,odd"], LAYOUTS["packed,zero-length"]], ids=str)
@one_or_two
def test_the_gradient_may_come_from_either_result_or_be_expanded(layout, D):
    tensors = flat(*make(layout, D))
    output_bar, h_n_bar = bars_for(layout, D)
    one = torch.ones((), dtype=torch.float64)
    for bars in (
        (output_bar, None),
        (None, h_n_bar),
        (one.expand(output_bar.shape), None),
        (None, one.expand(h_n_bar.shape)),
        (output_bar.narrow(-1, 0, 1).expand(output_bar.shape), one.expand(h_n_bar.shape)),
    ):
        agree(tensors, layout, D, bars, case=[None if b is None else b.stride() for b in bars])


@pytest.mark.parametrize("layout", [LAYOUTS["dense"], LAYOUTS["packed"]], ids=["dense", "packed"])
@one_or_two
def test_any_of_the_gradients_may_be_wanted(layout, D):
    tensors = flat(*make(layout, D))
    for wants_x, wants_h_0, *some in itertools.product((False, True), repeat=4):
        wanted = [wants_x, wants_h_0, *(some * len(tensors))[: len(tensors) - 2]]
        agree(tensors, layout, D, bars_for(layout, D), case=wanted, wanted=wanted)


LYING = {
    "batch first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "last but one first": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
    "every second": lambda x: torch.stack((x, x), -1)[..., 0],
    "part of a wider one": lambda x: torch.cat((x, x, x), -1)[..., x.shape[-1] : 2 * x.shape[-1]],
    "shifted": lambda x: torch.cat((x.new_zeros(1), x.flatten()))[1:].view(x.shape),
    "one row for all": lambda x: x[:1].expand(x.shape),
}


@pytest.mark.parametrize("lie", LYING.values(), ids=LYING)
@one_or_two
def test_tensors_may_lie_in_memory_as_they_like(lie, D):
    layout = Layout(5, 4, 6)
    x, h_0, weights = make(layout, D)
    matrices = [[lie(w) if w.dim() == 2 else w for w in direction] for direction in weights]
    strides = [[w[:1].expand(w.shape) if w.dim() == 1 else w for w in d] for d in weights]
    bars = bars_for(layout, D)
    agree(flat(lie(x), lie(h_0), weights), layout, D, bars, case="x, h_0")
    agree(flat(x, h_0, matrices), layout, D, bars, case="weights")
    agree(flat(x, h_0, strides), layout, D, bars, case="biases")
    agree(flat(x, h_0, weights), layout, D, tuple(lie(b) for b in bars), case="gradients")


@one_or_two
def test_no_numbers_at_all(D):
    """H_in or H nought, dense and packed, one row and more: empty, and still no crash."""
    script = f"""
import torch
from elman.ops import layer
for K, H, N, L in ((0, 4, 1, 50), (0, 4, 3, 50), (3, 0, 1, 50), (3, 0, 3, 50), (0, 0, 2, 5)):
    for sizes in (None, torch.full((L,), N)):
        x = torch.randn((L, N, K) if sizes is None else (L * N, K), requires_grad=True)
        h_0 = torch.randn({D}, N, H, requires_grad=True)
        W = [[torch.randn(H, K, requires_grad=True), torch.randn(H, H, requires_grad=True)]
             for _ in range({D})]
        output, h_n = layer(x, h_0, W, "tanh", sizes)
        (output.sum() + h_n.sum()).backward()
        assert output.shape[-1] == {D} * H and h_0.grad.shape == h_0.shape
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.returncode}: {ran.stderr}"


@one_or_two
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("packed", [False, True], ids=["dense", "packed"])
def test_as_good_as_torch_in_float32(D, nonlinearity, packed):
    for L, N, H in ((1, 3, 4), (7, 5, 3), (20, 9, 33), (5, 2, 1), (6, 1, 70)):
        lengths = tuple(max(1, L - k) for k in range(N)) if packed else None
        layout = Layout(L, N, H, lengths)
        low = [t.float() for t in flat(*make(layout, D, True, nonlinearity))]
        bars = [b.float() for b in bars_for(layout, D)]

        def torchs(x, h_0, weights, f, batch_sizes):
            run = torch._VF.rnn_tanh if f == "tanh" else torch._VF.rnn_relu
            every = [w for direction in weights for w in direction]
            both = len(weights) == 2
            if batch_sizes is None:
                return run(x, h_0, every, True, 1, 0.0, False, both, False)
            return run(x, batch_sizes, h_0, every, True, 1, 0.0, False, both)

        given = D, bars, nonlinearity, layout.batch_sizes
        ours, rival = results(layer, low, *given), results(torchs, low, *given)
        wide = [b.double() for b in bars]
        truth = results(_composed, [t.double() for t in low], D, wide, *given[2:])
        for k, (got, theirs, want) in enumerate(zip(ours, rival, truth, strict=True)):
            scale = max(largest(want), 0.0 if k < 2 else 1.0)
            good, says = as_good(got, theirs, want, 4 * L, scale)
            assert good, f"{(L, N, H)}, {k}: {says}"


# --- derivatives of derivatives --------------------------------------------------------------


def small(D=1, layout=None):
    layout = layout or Layout(3, 2, 2)
    tensors = [t.requires_grad_() for t in flat(*make(layout, D))]
    return (
        layout,
        tensors,
        lambda *t: layer(t[0], t[1], nested(t[2:], D), "tanh", layout.batch_sizes),
    )


@one_or_two
@pytest.mark.parametrize("layout", [Layout(3, 2, 2), LAYOUTS["packed,L=1"]], ids=str)
def test_derivatives_are_differences(D, layout):
    _, tensors, f = small(D, layout)
    assert torch.autograd.gradcheck(f, tensors)
    assert torch.autograd.gradgradcheck(f, tensors)


@one_or_two
def test_a_gradient_to_be_differentiated_is_the_same(D):
    layout, tensors, f = small(D, LAYOUTS["packed"])
    bars = bars_for(layout, D)
    plain = torch.autograd.grad(f(*tensors), tensors, bars)
    further = torch.autograd.grad(f(*tensors), tensors, bars, create_graph=True)
    assert all(g.requires_grad for g in further)
    same([tensors[0].detach(), *further], [tensors[0].detach(), *plain], layout)


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_callers_hooks_run_once(create_graph):
    _, tensors, f = small(2)
    calls = [0] * len(tensors)

    def count(k):
        def hook(_):
            calls[k] += 1

        return hook

    for k, t in enumerate(tensors):
        t.register_hook(count(k))
    output, h_n = f(*[t * 1 for t in tensors])
    torch.autograd.grad(output.sum() + h_n.sum(), tensors, create_graph=create_graph)
    assert calls == [1] * len(tensors)


# --- what the caller does to the graph -------------------------------------------------------


def test_a_graph_kept_gives_the_same_again():
    _, tensors, f = small(2)
    output, h_n = f(*tensors)
    loss = output.square().sum() + h_n.sum()
    first = torch.autograd.grad(loss, tensors, retain_graph=True)
    second = torch.autograd.grad(loss, tensors, retain_graph=True)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def test_a_graph_used_up_says_so():
    _, tensors, f = small()
    loss = f(*tensors)[0].square().sum()
    torch.autograd.grad(loss, tensors)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, tensors)


@pytest.mark.parametrize("written", ["all", "a part", "a view", "unseen"])
def test_an_output_written_in_is_computed_again(written):
    _, tensors, f = small(2)
    expected = torch.autograd.grad(f(*tensors)[1].sum(), tensors)
    output, h_n = f(*tensors)
    with torch.set_grad_enabled(written != "unseen"):
        {"all": output, "a part": output[1:], "a view": output.view(-1), "unseen": output}[
            written
        ].mul_(3)
    for got, want in zip(torch.autograd.grad(h_n.sum(), tensors), expected, strict=True):
        assert torch.equal(got, want)


def test_an_input_written_in_is_an_error():
    _, tensors, f = small()
    x = tensors[0] * 1
    output, _ = f(x, *tensors[1:])
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_backward_frees_what_was_kept():
    _, tensors, f = small()
    output, h_n = f(*tensors)
    node = output.grad_fn
    assert len(node.saved_tensors) == len(tensors) + 1
    (output.sum() + h_n.sum()).backward()
    with pytest.raises(RuntimeError, match="already been freed"):
        _ = node.saved_tensors


def test_nothing_is_kept_when_the_graph_goes():
    _, tensors, f = small()
    output, h_n = f(*tensors)
    node = weakref.ref(output.grad_fn)
    del output, h_n
    assert node() is None, "no cycle keeps the graph until the garbage collector comes"


def in_checkpoint(f, tensors):
    return checkpoint(f, *tensors, use_reentrant=False)


def kept_elsewhere(f, tensors):
    with torch.autograd.graph.save_on_cpu():
        return f(*tensors)


def kept_in_another_form(f, tensors):
    def pack(t):
        return t.shape, t.flatten().tolist()

    def unpack(kept):
        return torch.tensor(kept[1], dtype=torch.float64).view(kept[0])

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        return f(*tensors)


@pytest.mark.parametrize("run", [in_checkpoint, kept_elsewhere, kept_in_another_form])
@one_or_two
def test_saved_tensors_may_be_kept_another_way(run, D):
    _, tensors, f = small(D)
    expected = torch.autograd.grad([r.sum() for r in f(*tensors)], tensors)
    got = torch.autograd.grad([r.sum() for r in run(f, tensors)], tensors)
    for one, other in zip(got, expected, strict=True):
        assert torch.equal(one, other)


# --- shapes without numbers ------------------------------------------------------------------


def by_operator(layout, D):
    """Arguments of each of the four operators, in float32."""
    tensors = [t.float() for t in flat(*make(layout, D))]
    x, h_0, weights = tensors[0], tensors[1], tensors[2:]
    sizes = layout.batch_sizes
    output, _ = torch.ops.elman.layer(x, h_0, weights, True, 0, sizes)
    bars = [b.float() for b in bars_for(layout, D)]
    a = torch.randn(*x.shape[:-1], layout.H)
    W, h = weights[1], h_0[0]
    return {
        "scan": (a, W, h, 0, sizes, False),
        "linear_scan": (a, W, h, a, None, a, sizes, True),
        "layer": (x, h_0, weights, True, 0, sizes),
        "layer_backward": (*bars, x, h_0, output, weights, True, 0, sizes, 7),
    }


OPERATORS = ["scan", "linear_scan", "layer", "layer_backward"]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "layout", [LAYOUTS[n] for n in ("dense", "dense,strided", "packed", "dense,N=0")], ids=str
)
@one_or_two
def test_the_operators_keep_torchs_rules(name, layout, D):
    operator = getattr(torch.ops.elman, name).default
    arguments = by_operator(layout, D)[name]
    torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


@one_or_two
@pytest.mark.parametrize("form", ["dense", "batch first", "packed"])
def test_fake_tensors_have_the_shapes_and_strides_of_real_ones(D, form):
    layout = LAYOUTS["packed"] if form == "packed" else Layout(5, 4, 6)
    tensors = flat(*make(layout, D))
    if form == "batch first":
        tensors[0] = LYING["batch first"](tensors[0])
    bars = bars_for(layout, D)
    real = results(layer, tensors, D, bars, "tanh", layout.batch_sizes)
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(t) for t in tensors]
        output, h_n = cpu.layer(
            fakes[0], fakes[1], fakes[2:], True, "tanh",
            None if layout.batch_sizes is None else mode.from_tensor(layout.batch_sizes),
        )  # fmt: skip
        gradients = cpu.layer_backward(
            *[mode.from_tensor(b) for b in bars], *fakes[:2], output, fakes[2:], True, "tanh",
            None if layout.batch_sizes is None else mode.from_tensor(layout.batch_sizes),
            (True, True, True),
        )  # fmt: skip
    for fake, want in zip([output, h_n, *gradients], real, strict=True):
        assert fake.shape == want.shape
        assert fake.stride() == want.stride()
        assert fake.dtype == want.dtype


# --- what does not fit -----------------------------------------------------------------------


SPOIL = {
    "double": lambda w: w.double(),
    "bfloat16": lambda w: w.bfloat16(),
    "meta": lambda w: w.to("meta"),
    "short": lambda w: w[:-1],
    "narrow": lambda w: w[..., :-1],
    "deep": lambda w: w[None],
    "one number": lambda w: w.flatten()[0],
}


@pytest.mark.parametrize("spoil", SPOIL.values(), ids=SPOIL)
@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"])
@pytest.mark.parametrize("grad", [False, True], ids=["inference", "training"])
def test_a_weight_that_does_not_fit_is_an_error(spoil, name, grad):
    rnn = elman.RNN(3, 4)
    setattr(rnn, name, nn.Parameter(spoil(getattr(rnn, name).detach())))
    with torch.set_grad_enabled(grad), pytest.raises((RuntimeError, ValueError, TypeError)):
        rnn(torch.randn(5, 2, 3))


def test_weights_elsewhere_are_an_error():
    with pytest.raises((RuntimeError, ValueError)):
        elman.RNN(3, 4, device="meta")(torch.randn(5, 2, 3))


SPOILED = """
import sys
import torch
from elman.ops import cpu
assert cpu.problem() is None
L, N, K, H = 4, 3, 2, 5
weights = [torch.randn(H, K), torch.randn(H, H), torch.randn(H), torch.randn(H)]
x, h_0, a = torch.randn(L, N, K), torch.randn(1, N, H), torch.randn(L, N, H)
W, h, out = weights[1], h_0[0], torch.randn(L, N, H)
rows = torch.tensor([3, 3, 2, 1])
o, big = torch.ops.elman, 2 ** 62


def layer(x=x, h_0=h_0, weights=weights, bias=True, f=0, sizes=None):
    o.layer(x, h_0, weights, bias, f, sizes)


def back(bar=a, last=h_0, x=x, h_0=h_0, out=out, weights=weights, bias=True, f=0, sizes=None):
    o.layer_backward(bar, last, x, h_0, out, weights, bias, f, sizes, 7)


def scan(a=a, W=W, h=h, f=0, sizes=None):
    o.scan(a, W, h, f, sizes, False)


def linear(a=a, W=W, h=h, p=None, q=None, e=None, sizes=None):
    o.linear_scan(a, W, h, p, q, e, sizes, False)


def bad(t):  # of every tensor: another dtype, place, shape, number of dimensions
    yield from (t.double(), t.half(), t.int(), t.to(torch.cfloat), t.to("meta"), t[None])
    yield from (t[..., :-1], t[..., :0], t.flatten()[0], t.to_sparse(), t.new_zeros(0))
    yield torch.cat((t, t), -1)


def bad_sizes():
    for wrong in ([3, 2, 3, 1], [4, 3, 1, 1], [3, 3, 2], [3, 3, 2, 2], [9, 0, 0, 0], [3, 3, 4, -1],
                  [big, big, big, big], [-big] * 4, [2**63 - 1, 10]):
        yield torch.tensor(wrong)
    yield from (rows.float(), rows.int(), rows.to("meta"), rows[None], rows[0], rows.new_zeros(0))
    yield from (rows.bool(), rows.double())


def calls():
    for t in bad(x):
        yield lambda: layer(x=t)
        yield lambda: back(x=t)
    for t in bad(h_0):
        yield lambda: layer(h_0=t)
        yield lambda: back(h_0=t)
        yield lambda: back(last=t)
    for t in bad(a):
        yield lambda: back(bar=t)
        yield lambda: back(out=t)
        yield lambda: scan(a=t)
        yield lambda: linear(a=t)
        yield lambda: linear(p=t)
        yield lambda: linear(q=t)
        yield lambda: linear(e=t)
    for t in bad(h):
        yield lambda: scan(h=t)
        yield lambda: linear(h=t)
    for t in bad(W):
        yield lambda: scan(W=t)
        yield lambda: linear(W=t)
    for k, w in enumerate(weights):
        for t in bad(w):
            spoiled = [*weights[:k], t, *weights[k + 1:]]
            yield lambda: layer(weights=spoiled)
            yield lambda: back(weights=spoiled)
    for wrong in ([], weights[:3], weights * 2, weights[:2]):
        yield lambda: layer(weights=wrong)
        yield lambda: back(weights=wrong)
    yield lambda: layer(bias=False)
    for f in (-1, 3, big):
        yield lambda: layer(f=f)
        yield lambda: back(f=f)
        yield lambda: scan(f=f)
    packed = torch.randn(9, K), torch.randn(9, H)
    for sizes in bad_sizes():
        yield lambda: layer(x=packed[0], sizes=sizes)
        yield lambda: back(bar=packed[1], x=packed[0], out=packed[1], sizes=sizes)
        yield lambda: scan(a=packed[1], sizes=sizes)
        yield lambda: linear(a=packed[1], sizes=sizes)
    # sizes whose product is beyond 64 bits, of tensors without numbers or of one number
    none = torch.zeros(1, 0, H)
    yield lambda: layer(x=torch.zeros(L, 0, K), h_0=none.expand(big, 0, H), weights=[])
    yield lambda: back(bar=None, last=None, x=torch.zeros(L, 0, K), h_0=none.expand(big, 0, H),
                       out=torch.zeros(L, 0, 0), weights=[])
    empty = torch.zeros(1, 1, 0).expand(1, big, 0)
    nothing = [torch.zeros(0, K), torch.zeros(0, 0), torch.zeros(0), torch.zeros(0)]
    many = torch.full((4,), big)  # adds up to 2**64
    yield lambda: layer(x=torch.zeros(0, K), h_0=empty, weights=nothing, sizes=many)
    yield lambda: back(bar=None, last=None, x=torch.zeros(0, K), h_0=empty,
                       out=torch.zeros(0, 0), weights=nothing, sizes=many)
    wide = torch.zeros(1, 0).expand(big, 0)
    yield lambda: scan(a=torch.zeros(0, 0), W=nothing[1], h=wide, sizes=many)
    yield lambda: linear(a=torch.zeros(0, 0), W=nothing[1], h=wide, sizes=many)
    # a third direction, of which nobody knows where it runs
    three = torch.zeros(3, N, H)
    yield lambda: layer(h_0=three, weights=weights * 3)
    yield lambda: back(bar=None, last=three, h_0=three, out=torch.zeros(L, N, 3 * H),
                       weights=weights * 3)
    yield lambda: layer(x=x[:1, :1].expand(big, N, K))
    yield lambda: scan(a=a[:1].expand(big, N, H))
    yield lambda: scan(W=W[:1, :1].expand(2**31, 2**31))


wrong = 0
for k, call in enumerate(calls()):
    print(k, call.__code__.co_names, call.__code__.co_firstlineno, flush=True)
    try:
        call()
    except (RuntimeError, ValueError, TypeError):
        continue
    wrong += 1
    given = [c.cell_contents for c in call.__closure__ or ()]
    print("accepted", [(g.shape, g.dtype, g.device) for g in given if isinstance(g, torch.Tensor)])
print("wrong:", wrong)
"""


def test_the_operators_refuse_what_does_not_fit_and_never_crash():
    """In a process of its own, which a crash would end."""
    ran = subprocess.run(
        [sys.executable, "-c", SPOILED], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, f"{ran.returncode} after {ran.stdout[-300:]}: {ran.stderr[-300:]}"
    assert ran.stdout.splitlines()[-1] == "wrong: 0", ran.stdout
