"""The operators themselves: torch's rules for them, shapes without numbers, bad arguments."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import elman
from elman.ops import cpu, layer
from tests.ops.cases import LAYOUTS, Layout
from tests.ops.layers import (
    LYING,
    bars_for,
    flat,
    make,
    one_or_two,
    results,
)

pytestmark = pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))


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
    for f in (-1, 11, big):
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
        [sys.executable, "-c", SPOILED], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, f"{ran.returncode} after {ran.stdout[-300:]}: {ran.stderr[-300:]}"
    assert ran.stdout.splitlines()[-1] == "wrong: 0", ran.stdout
