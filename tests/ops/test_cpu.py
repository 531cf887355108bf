"""The compiled kernels by themselves: instruction sets, special numbers, memory."""

import re
import statistics
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman.ops import cpu, reference, scan
from tests.ops.cases import NONLINEARITIES, Layout, scan_inputs, uniform
from tests.ops.layers import everything
from tests.tolerances import as_good, distance, largest, worst

pytestmark = pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))


def pair(*sizes, **arguments):
    """torch.nn.RNN and elman.RNN with the same weights, none of which makes anything grow."""
    theirs, ours = nn.RNN(*sizes, **arguments), elman.RNN(*sizes, **arguments)
    with torch.no_grad():
        for weight in theirs.parameters():
            if weight.dim() == 2:
                weight /= 2 * weight.abs().sum(1, keepdim=True)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


# --- numbers ---------------------------------------------------------------------------------


def test_an_unknown_instruction_set_is_named(instructions):
    with pytest.raises(ValueError, match=rf"no kernels named 'mmx' run here; '{instructions}' do"):
        cpu.use_instruction_set("mmx")
    assert cpu.instruction_set() == instructions


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_instruction_set_agrees_with_the_loop(instructions, nonlinearity):
    """L steps of H + 4 roundings each, as in test_agreement.py: sizes about every tile's edge."""
    for N in (1, 2, 3, 4, 7, 9, 17):
        for H in (1, 7, 8, 9, 16, 23, 49, 65):
            layout = Layout(3, N, H)
            a, W, h_0 = scan_inputs(layout, None, nonlinearity)
            want = reference.scan(a, W, h_0, nonlinearity)
            got = scan(a, W, h_0, nonlinearity, backend="cpu")
            assert distance(got, want) <= worst(3 * (H + 4), max(1.0, largest(want))), (N, H)


SIZES = [
    (1, 5, 1),
    (33, 1, 250),
    (4, 6, 17),
    (9, 5, 64),
    (2, 4, 250),
    (33, 7, 5),
    (20, 6, 70),
    (3, 1000, 8),
]


@pytest.mark.parametrize(("N", "L", "H"), SIZES)
def test_float32_is_as_good_as_torch(instructions, N, L, H):
    theirs, ours = pair(H, H)
    x, h_0 = torch.randn(L, N, H), torch.randn(1, N, H)
    bars = uniform(L, N, H).float(), uniform(1, N, H).float()
    got, rival = everything(ours, x, h_0, bars), everything(theirs, x, h_0, bars)
    wide = [t.double() for t in (x, h_0, *bars)]
    truth = everything(theirs.double(), wide[0], wide[1], (wide[2], wide[3]))
    for k, (mine, other, want) in enumerate(zip(got, rival, truth, strict=True)):
        good, says = as_good(mine, other, want, 4 * L, max(largest(want), 0.0 if k < 2 else 1.0))
        assert good, f"{k}: {says}"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_as_good_as_torch(instructions, dtype):
    for N, L, H in ((1, 5, 1), (4, 6, 17), (9, 5, 64)):
        theirs, ours = pair(H, H)
        theirs, ours, x = theirs.to(dtype), ours.to(dtype), torch.randn(L, N, H).to(dtype)
        got, rival = everything(ours, x), everything(theirs, x)
        truth = everything(theirs.double(), x.double())
        for k, (mine, other, want) in enumerate(zip(got, rival, truth, strict=True)):
            good, says = as_good(mine, other, want, 4 * L, max(largest(want), float(k >= 2)))
            assert good, f"{(N, L, H)}, {k}: {says}"


def tanh_of(z):
    """The kernels' tanh of every number: a scan of one step from nothing."""
    a = z.view(1, -1, 1)
    zero = torch.zeros(1, 1, dtype=z.dtype)
    return scan(a, zero, torch.zeros(z.numel(), 1, dtype=z.dtype), "tanh", backend="cpu").flatten()


def sweep(dtype):
    """Numbers of every exponent, those where the kernels change their ways, and the odd ones."""
    info = torch.finfo(dtype)
    least, most = (-149, 128) if dtype == torch.float32 else (-1074, 1024)
    exponents = torch.arange(least, most, dtype=torch.float64)
    grid = (torch.rand(40, dtype=torch.float64) + 1)[:, None] * torch.exp2(exponents)
    turns = torch.tensor([9.0, 9.02, 18.0, 19.0, 20.0, 22.0, 0.173, 0.3466, 0.625, 1.0]).double()
    near = turns[:, None] + torch.linspace(-0.1, 0.1, 801, dtype=torch.float64)
    even = torch.linspace(-24, 24, 20001, dtype=torch.float64)
    edges = torch.tensor([info.max, info.tiny, 2 * info.tiny], dtype=torch.float64)
    z = torch.cat([t.flatten() for t in (grid, near, even, edges)]).to(dtype)
    return torch.cat((z, -z))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_tanh_is_within_three_ulps(instructions, dtype):
    """The truth in long double; what is below the least normal number may be zero."""
    z, tiny = sweep(dtype), torch.finfo(dtype).tiny
    got = tanh_of(z)
    assert (got.abs() <= 1).all()
    truth = np.tanh(z.numpy().astype(np.longdouble))
    ulp = np.spacing(np.abs(truth).astype(z.numpy().dtype)).astype(np.longdouble)
    off = np.abs(got.numpy() - truth)
    allowed = np.where(np.abs(truth) < tiny, tiny, 3 * ulp)
    at = int((off / allowed).argmax())
    assert off[at] <= allowed[at], f"{off[at] / ulp[at]} ulps at {z[at]}: {got[at]}, {truth[at]}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_tanh_of_what_is_no_ordinary_number(instructions, dtype):
    z = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0] * 9, dtype=dtype)
    got = tanh_of(z)
    want = torch.tanh(z)
    torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("special", [float("nan"), float("inf"), -float("inf")], ids=str)
@pytest.mark.parametrize("where", ["x", "h_0", "weight_ih", "weight_hh", "bias"])
def test_nan_and_infinity_come_out_where_torch_has_them(instructions, nonlinearity, special, where):
    for N, H in ((1, 5), (4, 19)):
        theirs, ours = pair(3, H, nonlinearity=nonlinearity)
        x, h_0 = torch.randn(4, N, 3), torch.randn(1, N, H)
        with torch.no_grad():
            for rnn in (theirs, ours):
                {
                    "x": x[1, 0], "h_0": h_0[0, 0], "weight_ih": rnn.weight_ih_l0[1],
                    "weight_hh": rnn.weight_hh_l0[2], "bias": rnn.bias_ih_l0,
                }[where][1] = special  # fmt: skip
        results = zip(everything(ours, x, h_0), everything(theirs, x, h_0), strict=True)
        for k, (got, want) in enumerate(results):
            assert torch.equal(got.isnan(), want.isnan()), f"{(N, H)}, {k}"
            assert torch.equal(got.isposinf(), want.isposinf()), f"{(N, H)}, {k}"
            assert torch.equal(got.isneginf(), want.isneginf()), f"{(N, H)}, {k}"


def seconds(run):
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def test_numbers_that_vanish_take_no_longer(instructions):
    """As a ratio, in turn: subnormal numbers in hardware take some hundred times longer."""
    L, N, H = 100, 8, 64
    W, h_0 = torch.eye(H), torch.zeros(N, H)
    ordinary, vanishing = torch.full((L, N, H), 0.1), torch.full((L, N, H), 1e-41)
    rnn = elman.RNN(H, H, nonlinearity="identity", bias=False)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(torch.eye(H) / 2)
    x = torch.randn(L, N, H)
    output, _ = rnn(x)

    def forward(a):
        return lambda: scan(a, W, h_0, "identity", backend="cpu")

    def backward(bar):
        bars = torch.zeros(L, N, H)
        bars[-1] = bar  # halved at every step before
        return lambda: torch.autograd.grad(output, [*rnn.parameters()], bars, retain_graph=True)

    for slow, quick in ((forward(vanishing), forward(ordinary)), (backward(1e-33), backward(1.0))):
        ratios = [seconds(slow) / seconds(quick) for _ in range(15)]
        assert statistics.median(ratios) < 3


def test_the_caller_keeps_its_subnormal_numbers(instructions):
    tiny = torch.full((4,), 1e-41)
    scan(torch.ones(3, 2, 4), torch.eye(4), torch.zeros(2, 4), backend="cpu")
    assert (tiny * 1 == tiny).all()
    assert (tiny * 1 != 0).all()


# --- memory ----------------------------------------------------------------------------------


def flags_of(address):
    """The kernel's flags of the mapping an address lies in, as /proc/self/smaps has them."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if mapping := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(mapping[1], 16) <= address < int(mapping[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return line.split()[1:]
    raise AssertionError(f"{address:x} is not mapped")


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage/enabled").exists(),
    reason="the system has no large pages",
)
def test_a_large_output_asks_for_large_pages():
    """The flag hg is what MADV_HUGEPAGE leaves; in 8 MiB there are whole pages of 2 MiB."""
    rnn = elman.RNN(4, 64)
    with torch.no_grad():
        output, _ = rnn(torch.zeros(1024, 32, 4))
    size = output.numel() * output.element_size()
    assert "hg" in flags_of(output.data_ptr() + size // 2)
