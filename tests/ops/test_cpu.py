"""The compiled kernels by themselves: instruction sets, special numbers, threads, processes."""

import os
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman.ops import cpu, reference, scan
from tests.ops.cases import NONLINEARITIES, Layout, packed, scan_inputs, uniform
from tests.tolerances import as_good, distance, largest, worst

pytestmark = pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))


def runs_here(name):
    before = cpu.instruction_set()
    try:
        cpu.use_instruction_set(name)
    except ValueError:
        return False
    cpu.use_instruction_set(before)
    return True


INSTRUCTION_SETS = (
    [name for name in ("plain", "avx2", "avx512") if runs_here(name)]
    if cpu.problem() is None
    else []
)


@pytest.fixture(params=INSTRUCTION_SETS)
def instructions(request):
    before = cpu.instruction_set()
    cpu.use_instruction_set(request.param)
    yield request.param
    cpu.use_instruction_set(before)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def pair(*sizes, **arguments):
    """torch.nn.RNN and elman.RNN with the same weights, none of which makes anything grow."""
    theirs, ours = nn.RNN(*sizes, **arguments), elman.RNN(*sizes, **arguments)
    with torch.no_grad():
        for weight in theirs.parameters():
            if weight.dim() == 2:
                weight /= 2 * weight.abs().sum(1, keepdim=True)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def everything(rnn, x, h_0=None, bars=None):
    """output, h_n, and the gradients of the input, h_0 and the weights."""
    x = x.detach().requires_grad_()
    h_0 = None if h_0 is None else h_0.detach().requires_grad_()
    output, h_n = rnn(x, h_0)
    bars = bars or (torch.ones_like(output), torch.ones_like(h_n))
    leaves = [x, *([] if h_0 is None else [h_0]), *rnn.parameters()]
    return [output.detach(), h_n.detach(), *torch.autograd.grad((output, h_n), leaves, bars)]


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


# --- threads ---------------------------------------------------------------------------------

SHARED = {
    "few rows of many units": (6, [1, 2, 5], [250, 600]),
    "one step": (1, [4, 33], [600]),
    "many rows": (9, [64, 131], [40]),
    "long": (300, [3], [33]),
}


def on_threads(threads, count, run):
    threads(count)
    try:
        return run()
    finally:
        threads(1)


@pytest.mark.parametrize("case", SHARED.values(), ids=SHARED)
@pytest.mark.parametrize("form", ["dense", "packed", "both directions"])
def test_any_number_of_threads_gives_the_same_bits(threads, case, form):
    L, Ns, Hs = case
    for N in Ns:
        for H in Hs:
            rnn = elman.RNN(H, H, bidirectional=form == "both directions")
            x = torch.randn(L, N, H)
            if form == "packed":
                lengths = torch.linspace(L, max(1, L // 3), N).long().tolist()
                x = nn.utils.rnn.pack_padded_sequence(x, lengths)

            def run(x=x, rnn=rnn):
                if isinstance(x, torch.Tensor):
                    return everything(rnn, x)
                data = x.data.detach().requires_grad_()
                output, h_n = rnn(nn.utils.rnn.PackedSequence(data, x.batch_sizes))
                loss = output.data.sum() + h_n.square().sum()
                found = torch.autograd.grad(loss, [data, *rnn.parameters()])
                return [output.data.detach(), h_n.detach(), *found]

            one = run()
            for count in (1, 2, 3, 4):
                for k, (got, want) in enumerate(
                    zip(on_threads(threads, count, run), one, strict=True)
                ):
                    assert torch.equal(got, want), f"{count} threads, N={N}, H={H}: {k}"


def test_scans_of_groups_on_any_number_of_threads(threads):
    for layout in (Layout(5, 3, 130), packed(*range(40, 0, -1), H=20)):
        for groups in (1, 3):
            a, W, h_0 = scan_inputs(layout, groups, "tanh")

            def run(a=a, W=W, h_0=h_0, layout=layout):
                q = {"batch_sizes": layout.batch_sizes}
                linear = elman.ops.linear_scan(a, W, h_0, p=a / 2, q=a / 2, e=a / 4, **q)
                return scan(a, W, h_0, **q), linear

            one = run()
            for count in (2, 3, 4):
                for got, want in zip(on_threads(threads, count, run), one, strict=True):
                    assert torch.equal(got, want)


def test_a_row_does_not_depend_on_the_rows_beside_it(instructions, threads):
    """With the kernels for many rows; another row in the batch does not change it."""
    rnn, x = elman.RNN(16, 40), torch.randn(7, 64, 16)
    with torch.no_grad():
        whole = rnn(x)[0]
        for count in (1, 2, 4):
            part = on_threads(threads, count, lambda: rnn(x[:, 5:29])[0])
            assert torch.equal(part, whole[:, 5:29])


COUNTED = """
import os, torch
from elman.ops import scan
def threads():
    return len(os.listdir("/proc/self/task"))
a, W, h_0 = torch.zeros(50, 64, 128), torch.eye(128), torch.zeros(64, 128)
torch.set_num_threads(1)
before = threads()
scan(a, W, h_0, backend="cpu")
assert threads() == before, threads()
torch.set_num_threads(3)
scan(a, W, h_0, backend="cpu")
assert threads() > before, threads()  # some of three may have been there for torch
assert torch.get_num_threads() == 3
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_torch_says_how_many_threads_there_are():
    in_a_process(COUNTED)


def test_python_threads_may_all_call_at_once(threads):
    threads(2)
    rnn = elman.RNN(32, 160)
    inputs = [torch.randn(12, 6, 32) for _ in range(4)]
    want = [everything(rnn, x) for x in inputs]
    wrong = []

    def go(x, expected):
        for _ in range(5):
            if not all(map(torch.equal, everything(rnn, x), expected)):
                wrong.append(x)

    workers = [threading.Thread(target=go, args=pair) for pair in zip(inputs, want, strict=True)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_another_python_thread_goes_on_during_a_scan():
    """A scan of a good part of a second; the other thread needs a few moments of it."""
    a, W, h_0 = torch.zeros(20_000, 1, 512), torch.eye(512), torch.zeros(1, 512)
    begun, inside, done = threading.Event(), threading.Event(), []

    def count():
        begun.wait()
        while not done:
            moments.append(time.perf_counter())
            time.sleep(1e-3)
        inside.set()

    moments: list[float] = []
    worker = threading.Thread(target=count)
    worker.start()
    begun.set()
    begin = time.perf_counter()
    torch.ops.elman.scan(a, W, h_0, 0, None, False)
    end = time.perf_counter()
    done.append(True)
    worker.join()
    # held, the other thread could run only before the call and after it: at both its ends
    middle = [t for t in moments if begin + (end - begin) / 4 < t < end - (end - begin) / 4]
    assert middle, f"{len(moments)} moments, none in the middle of {end - begin:.3f} s"


# --- processes -------------------------------------------------------------------------------

FORKED = """
import os, sys
import torch, elman
torch.set_num_threads(2)
rnn, x = elman.RNN(64, 300), torch.randn(30, 8, 64)
def run():
    with torch.no_grad():
        output, h_n = rnn(x)
        bar = torch.ones_like(output)
        return [output, *torch.ops.elman.layer_backward(
            bar, None, x, h_n * 0, output, rnn.all_weights[0], True, 0, None, 7)]
before = run()
child = os.fork()
if child == 0:
    torch.set_num_threads(1)
    os._exit(0 if all(map(torch.equal, run(), before)) else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

WORKERS = """
import torch, elman
torch.set_num_threads(2)
rnn = elman.RNN(8, 200)
class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, k):
        with torch.no_grad():
            return rnn(torch.full((10, 4, 8), k / 6))[0]
expected = [Numbers()[k] for k in range(6)]
if __name__ == "__main__":
    loader = torch.utils.data.DataLoader(
        Numbers(), batch_size=None, num_workers=2, timeout=300, multiprocessing_context="fork"
    )
    assert all(map(torch.equal, loader, expected))
"""


def in_a_process(script):
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{ran.returncode}: {ran.stderr}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_runs_the_kernels_on_one_thread():
    """On more, no loop of torch's over threads ends in a child: its OpenMP does not fork."""
    in_a_process(FORKED)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_data_loader_workers_can_run_the_kernels():
    in_a_process(WORKERS)


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
