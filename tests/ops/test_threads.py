"""The compiled kernels on threads, and in processes that fork."""

import os
import subprocess
import sys
import threading
import time

import pytest
import torch
from torch import nn

import elman
from elman.ops import cpu, scan
from tests.ops.cases import Layout, packed, scan_inputs
from tests.ops.layers import everything

pytestmark = pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


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
    begun, done = threading.Event(), []

    def count():
        begun.wait()
        while not done:
            moments.append(time.perf_counter())
            time.sleep(1e-3)

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
