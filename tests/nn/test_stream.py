"""Step by step against the whole sequence, and everything a caller may do to a Stream.

Roundings, for tolerances.py. The rows of every weight add up to at most 1/2 in absolute value.
A step of a layer sums K + H products and three more terms and f rounds once, K + H + 4, beside
half the error of the layer below and half that of the step before: so e(l, t) is at most
(l + t) (K + H + 4) roundings of the largest sum, and that is at most max|x| and the biases, four
times two of at most one. In low precision a step rounds four times.
"""

import copy
import gc
import itertools
import pickle
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import elman
from elman.nn import Stream
from elman.ops import cpu, use_backend
from tests.tolerances import as_good, distance, largest, worst

L = 6
SIZES = [(1, 1, 1), (2, 3, 5), (3, 17, 2), (5, 1, 33), (9, 8, 16), (33, 5, 7)]  # N, H_in, H
KINDS = {
    "elman.RNN": (elman.RNN, ("tanh", "relu", "identity")),
    "torch.nn.RNN": (nn.RNN, ("tanh", "relu")),
    "elman.RNNCell": (elman.RNNCell, ("tanh", "relu")),
    "torch.nn.RNNCell": (nn.RNNCell, ("tanh", "relu")),
}
NETWORKS = [(kind, f) for kind, (_, known) in KINDS.items() for f in known]
every_network = pytest.mark.parametrize(
    ("kind", "f"), NETWORKS, ids=[f"{kind}-{f}" for kind, f in NETWORKS]
)


def calmed(module):
    """Every row of every weight to at most 1/2 in absolute value."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 2:
                parameter /= 2 * parameter.abs().sum(1, keepdim=True)
    return module


def networks(kind, f, H_in, H):
    """Each form of one kind, in float64, with a head or without."""
    build, _ = KINDS[kind]
    for bias, layers in itertools.product((True, False), (1, 2, 3)):
        if "Cell" in kind and layers > 1:
            continue
        more = {} if "Cell" in kind else {"num_layers": layers}
        rnn = build(H_in, H, nonlinearity=f, bias=bias, dtype=torch.float64, **more)
        yield calmed(rnn), None, layers
        yield rnn, calmed(nn.Linear(H, 3, bias=bias, dtype=torch.float64)), layers


def whole(rnn, head, x):
    """The whole sequence at once: torch's own layer, or the plain loop for identity."""
    with torch.no_grad(), use_backend("reference"):
        if isinstance(rnn, (elman.RNNCell, nn.RNNCell)):
            h, outputs = None, []
            for x_t in x:
                h = rnn(x_t, h)
                outputs.append(h)
            output = torch.stack(outputs)
        elif rnn.nonlinearity == "identity":
            output = rnn(x)[0]
        else:
            arguments = {"num_layers": rnn.num_layers, "bias": rnn.bias, "dtype": x.dtype}
            torchs = nn.RNN(
                rnn.input_size, rnn.hidden_size, nonlinearity=rnn.nonlinearity, **arguments
            )
            torchs.load_state_dict(rnn.state_dict())
            output = torchs(x)[0]
        return output if head is None else head(output)


def stepped(stream, x):
    return torch.stack([stream.step(x_t) for x_t in x])


@every_network
def test_steps_are_the_whole_sequence_in_float64(kind, f):
    for N, H_in, H in SIZES:
        x = torch.randn(L, N, H_in, dtype=torch.float64)
        for rnn, head, layers in networks(kind, f, H_in, H):
            steps = (L + layers + 1) * (max(H_in, H) + H + 4)
            allowed = worst(steps, largest(x) + 8)
            got = stepped(Stream(rnn, head, batch=N), x)
            assert got.dtype == x.dtype
            assert distance(got, whole(rnn, head, x)) <= allowed, (N, H_in, H, rnn, head)


@every_network
def test_steps_are_as_good_as_the_whole_sequence_in_float32(kind, f):
    for N, H_in, H in SIZES:
        x = torch.randn(L, N, H_in)
        for rnn, head, layers in networks(kind, f, H_in, H):
            rnn = rnn.float()  # the truth has these weights, rounded
            head = None if head is None else head.float()
            got, rival = stepped(Stream(rnn, head, batch=N), x), whole(rnn, head, x)
            wide = None if head is None else copy.deepcopy(head).double()
            truth = whole(copy.deepcopy(rnn).double(), wide, x.double())
            good, says = as_good(got, rival, truth, 4 * (L + layers + 1), largest(x))
            assert good, f"{(N, H_in, H, rnn, head)}: {says}"


def small(dtype=torch.float32, **arguments):
    return elman.RNN(3, 5, dtype=dtype, **arguments)


def test_reset_begins_again():
    stream, x = Stream(small(num_layers=2), batch=2), torch.randn(L, 2, 3)
    first = stepped(stream, x)
    assert not torch.equal(stepped(stream, x), first)
    stream.reset()
    assert torch.equal(stream.state, torch.zeros(2, 2, 5))
    assert torch.equal(stepped(stream, x), first)


def test_the_state_can_be_kept_and_put_back():
    stream, x = Stream(small(num_layers=2), nn.Linear(5, 2), batch=2), torch.randn(2 * L, 2, 3)
    stepped(stream, x[:L])
    kept = stream.state
    assert kept.shape == (2, 2, 5)
    rest = stepped(stream, x[L:])
    kept_as_it_was = kept.clone()
    kept_again = stream.state
    assert not torch.equal(kept_again, kept_as_it_was)
    assert torch.equal(kept, kept_as_it_was), "the state given out is a copy"
    stream.state = kept
    kept.zero_()
    assert torch.equal(stream.state, kept_as_it_was), "the state taken in is a copy"
    assert torch.equal(stepped(stream, x[L:]), rest)
    stream.state = kept_as_it_was.transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    assert torch.equal(stepped(stream, x[L:]), rest)


def test_it_goes_on_from_the_h_n_of_a_sequence():
    rnn = calmed(small(torch.float64, num_layers=2))
    x = torch.randn(2 * L, 3, 3, dtype=torch.float64)
    expected, h_n = rnn(x)
    _, h = rnn(x[:L])
    stream = Stream(rnn, batch=3)
    stream.state = h
    allowed = worst((2 * L + 2) * 14, largest(x) + 8)
    assert distance(stepped(stream, x[L:]), expected[L:]) <= allowed
    assert distance(stream.state, h_n) <= allowed


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "none"])
def test_one_row_may_come_without_the_batch(kernels, monkeypatch):
    if not kernels:
        monkeypatch.setattr(cpu, "problem", lambda: "there are none")
    rnn, x = small(), torch.randn(L, 3)
    single, batched = Stream(rnn), Stream(rnn)
    for x_t in x:
        y = single.step(x_t)
        assert y.shape == (5,)
        assert torch.equal(y, batched.step(x_t[None])[0])


class Marked(torch.Tensor):
    pass


FORMS = {
    "transposed": lambda x: x.T.contiguous().T,
    "every second": lambda x: torch.stack((x, x), -1)[..., 0],
    "wants a gradient": lambda x: x.clone().requires_grad_(),
    "has a history": lambda x: x.clone().requires_grad_() * 1,
    "a parameter": nn.Parameter,
    "a subclass": lambda x: x.as_subclass(Marked),
    "negated lazily": lambda x: torch._neg_view(-x),
    "of inference": lambda x: torch.inference_mode()(x.clone)(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_x_may_come_in_any_form(form):
    stream, x = Stream(small(), batch=2), torch.randn(2, 3)
    expected = stream.step(x)
    stream.reset()
    y = stream.step(form(x))
    assert type(y) is torch.Tensor
    assert not y.requires_grad
    assert torch.equal(y, expected)


def test_y_is_the_callers_own():
    stream, x = Stream(small()), torch.randn(L, 1, 3)
    expected = stepped(stream, x)
    stream.reset()
    for x_t, y_t in zip(x, expected, strict=True):
        y = stream.step(x_t)
        assert torch.equal(y, y_t)
        y.zero_()


def test_the_weights_are_those_of_the_moment():
    rnn, head, x = small(), nn.Linear(5, 2), torch.randn(L, 1, 3)
    stream = Stream(rnn, head)
    expected = stepped(stream, x)
    with torch.no_grad():
        for parameter in (*rnn.parameters(), *head.parameters()):
            parameter.zero_()
    stream.reset()
    assert torch.equal(stepped(stream, x), expected)
    assert torch.equal(stepped(Stream(rnn, head), x), torch.zeros(L, 1, 2))


COPIES = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda stream: pickle.loads(pickle.dumps(stream)),
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_a_copy_goes_on_by_itself_from_the_same_state(make):
    stream, x = Stream(small(num_layers=2), nn.Linear(5, 2), batch=2), torch.randn(2 * L, 2, 3)
    stepped(stream, x[:L])
    other = make(stream)
    assert torch.equal(other.state, stream.state)
    expected = stepped(stream, x[L:])
    assert torch.equal(stepped(other, x[L:]), expected)
    del stream
    gc.collect()
    other.reset()
    assert torch.equal(other.state, torch.zeros(2, 2, 5))


def misshapen():
    rnn = elman.RNN(3, 400)
    rnn.weight_hh_l0 = nn.Parameter(torch.zeros(3, 4))
    return rnn


CANNOT_BE_MADE = {
    "an LSTM": (lambda: Stream(nn.LSTM(3, 5)), TypeError, "RNN or RNNCell, got LSTM"),
    "no module": (lambda: Stream("rnn"), TypeError, "RNN or RNNCell, got str"),
    "two directions": (lambda: Stream(small(bidirectional=True)), ValueError, "forward only"),
    "torch's two": (lambda: Stream(nn.RNN(3, 5, bidirectional=True)), ValueError, "forward only"),
    "batch True": (lambda: Stream(small(), batch=True), TypeError, "an int, got bool"),
    "batch 1.0": (lambda: Stream(small(), batch=1.0), TypeError, "an int, got float"),
    "batch 0": (lambda: Stream(small(), batch=0), ValueError, "at least 1, got 0"),
    "batch -1": (lambda: Stream(small(), batch=-1), ValueError, "at least 1, got -1"),
    "bfloat16": (lambda: Stream(small().bfloat16()), TypeError, "float32 or.* got torch.bfloat16"),
    "a head of another dtype": (
        lambda: Stream(small(), nn.Linear(5, 2).double()), TypeError, "got torch.float64",
    ),
    "weights elsewhere": (lambda: Stream(small(device="meta")), ValueError, "weights on meta"),
    "a head elsewhere": (
        lambda: Stream(small(), nn.Linear(5, 2, device="meta")), ValueError, "weights on meta",
    ),
    "a head of another kind": (
        lambda: Stream(small(), nn.Identity()), TypeError, "torch.nn.Linear, got Identity",
    ),
    "a head that does not fit": (
        lambda: Stream(small(), nn.Linear(7, 2)), ValueError, "layer's 5 units.*in_features=7",
    ),
    "a weight of another shape": (
        lambda: Stream(misshapen()), (ValueError, RuntimeError), r"\(400, 400\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "error", "text"), CANNOT_BE_MADE.values(), ids=CANNOT_BE_MADE.keys()
)
def test_what_cannot_be_a_stream_says_why(make, error, text):
    with pytest.raises(error, match=text):
        make()


CANNOT_BE_STEPPED = {
    "a list": (1, lambda: [[1.0, 2.0, 3.0]], TypeError, "a Tensor, got list"),
    "None": (1, lambda: None, TypeError, "a Tensor, got NoneType"),
    "another dtype": (1, lambda: torch.zeros(1, 3).double(), TypeError, "float32.*float64"),
    "too wide": (1, lambda: torch.zeros(1, 4), ValueError, r"\(1, 3\) or \(3,\), got \(1, 4\)"),
    "too many rows": (1, lambda: torch.zeros(2, 3), ValueError, r"got \(2, 3\)"),
    "no batch": (2, lambda: torch.zeros(3), ValueError, r"should be \(2, 3\), got \(3,\)"),
    "a sequence": (1, lambda: torch.zeros(1, 1, 3), ValueError, r"got \(1, 1, 3\)"),
    "nothing": (1, lambda: torch.zeros(()), ValueError, r"got \(\)"),
    "elsewhere": (1, lambda: torch.zeros(1, 3, device="meta"), ValueError, "CPU, got meta"),
}


@pytest.mark.parametrize(
    ("N", "x", "error", "text"), CANNOT_BE_STEPPED.values(), ids=CANNOT_BE_STEPPED.keys()
)
def test_what_cannot_be_stepped_says_why_and_changes_nothing(N, x, error, text):
    stream = Stream(small(), batch=N)
    stream.step(torch.ones(N, 3))
    before = stream.state
    with pytest.raises(error, match=text):
        stream.step(x())
    assert torch.equal(stream.state, before)


CANNOT_BE_A_STATE = {
    "a number": (lambda: 0.0, TypeError, "torch.float32, got float"),
    "another dtype": (lambda: torch.zeros(1, 1, 5).double(), TypeError, "got torch.float64"),
    "another shape": (lambda: torch.zeros(1, 5), ValueError, r"\(1, 1, 5\), got \(1, 5\)"),
}


@pytest.mark.parametrize(
    ("h", "error", "text"), CANNOT_BE_A_STATE.values(), ids=CANNOT_BE_A_STATE.keys()
)
def test_what_cannot_be_a_state_says_why(h, error, text):
    stream = Stream(small())
    with pytest.raises(error, match=text):
        stream.state = h()


ELSEWHERE = """
import elman, torch
stream = elman.nn.Stream(elman.RNN(3, 5))
stream.step(torch.ones(1, 3))
expected = stream.state
with torch.device("meta"):
    assert torch.equal(stream.state, expected)
    stream.reset()
assert torch.equal(stream.state, torch.zeros(1, 1, 5))
"""


def test_the_state_is_on_the_cpu_whatever_the_default_device():
    """In a process of its own: kernels that write to another device's memory end it."""
    ran = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_tensors_without_numbers_are_refused():
    stream = Stream(small())
    stream.step(torch.ones(1, 3))
    before = stream.state
    with FakeTensorMode():
        x = torch.empty(1, 3)
    with pytest.raises((TypeError, ValueError)):
        stream.step(x)
    assert torch.equal(stream.state, before)


def test_streams_in_several_threads_do_not_meet():
    x = torch.randn(4, 300, 2, 3)
    rnn = small(num_layers=2)
    expected = [stepped(Stream(rnn, batch=2), part) for part in x]
    got = [None] * len(x)

    def go(k, stream):
        got[k] = stepped(stream, x[k])

    threads = [threading.Thread(target=go, args=(k, Stream(rnn, batch=2))) for k in range(len(x))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ours, want in zip(got, expected, strict=True):
        assert torch.equal(ours, want)


@pytest.mark.parametrize("f", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("with_head", [False, True], ids=["state", "head"])
def test_without_the_kernels_the_numbers_are_the_same(f, with_head, monkeypatch):
    for layers in (1, 2):
        rnn = calmed(small(torch.float64, num_layers=layers, nonlinearity=f))
        head = calmed(nn.Linear(5, 2, dtype=torch.float64)) if with_head else None
        x = torch.randn(L, 2, 3, dtype=torch.float64)
        stream = Stream(rnn, head, batch=2)
        expected, state = stepped(stream, x), stream.state
        with monkeypatch.context() as without:
            without.setattr(cpu, "problem", lambda: "there are none")
            plain = Stream(rnn, head, batch=2)
            got = stepped(plain, x)
            allowed = worst((L + layers + 1) * 14, largest(x) + 8)
            assert distance(got, expected) <= allowed
            assert distance(plain.state, state) <= allowed
            assert not got.requires_grad
            other = pickle.loads(pickle.dumps(plain))
            assert torch.equal(other.step(x[0]), plain.step(x[0]))
            plain.step(x[0]).zero_()
            assert distance(plain.state[-1], torch.zeros(2, 5)) > 0, "y is the caller's own"
            plain.reset()
            assert torch.equal(stepped(plain, x), got)


class Counting:
    """The library, and how many streams it opened and closed."""

    def __init__(self, library):
        self.library, self.open, self.closed = library, 0, 0

    def __getattr__(self, name):
        return getattr(self.library, name)

    def elman_stream_open(self, *arguments):
        self.open += 1
        return self.library.elman_stream_open(*arguments)

    def elman_stream_close(self, handle):
        self.closed += 1
        self.library.elman_stream_close(handle)


@pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))
def test_a_dropped_stream_is_closed_once(monkeypatch):
    library = Counting(cpu.library())
    monkeypatch.setattr(cpu, "library", lambda: library)
    rnn = small()
    for _ in range(50):
        stream = Stream(rnn)
        stream.step(torch.ones(1, 3))
        copy.deepcopy(stream)
    del stream
    gc.collect()
    assert library.open == 100
    assert library.closed == 100


def resident():
    """Bytes of memory this process holds now or, where that is not told, has held at most."""
    told = Path("/proc/self/statm")
    if told.exists():
        return int(told.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def test_many_streams_made_and_dropped_leave_no_memory_behind():
    rnn = elman.RNN(256, 256)
    size = 2 * 256 * 256 * 4  # bytes of a Stream's weights
    for _ in range(20):
        Stream(rnn).step(torch.zeros(1, 256))
    before = resident()
    for _ in range(400):
        Stream(rnn).step(torch.zeros(1, 256))
    gc.collect()
    assert resident() - before < 400 * size / 4


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
@pytest.mark.parametrize("H", [0, 4])
def test_no_units_are_no_numbers(H):
    """torch has cells of no units, and heads of no outputs."""
    stream = Stream(nn.RNNCell(3, H), head=nn.Linear(H, 0))
    assert stream.step(torch.randn(1, 3)).shape == (1, 0)


@pytest.mark.skipif(cpu.problem() is not None, reason="torch's own operators go on without")
def test_a_state_without_numbers_is_refused():
    stream = Stream(small())
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = torch.zeros(1, 1, 4)
        with pytest.raises(TypeError, match="ordinary tensors, not on FakeTensor"):
            Stream(elman.RNN(3, 4))
        with pytest.raises(TypeError, match="ordinary tensors, not on FakeTensor"):
            stream.state  # noqa: B018 - it is made when it is read
    state = stream.state
    for h in (fake.new_zeros(state.shape), torch.empty_like(state)):
        if type(h) is torch.Tensor:
            h.untyped_storage().resize_(0)
        with pytest.raises((TypeError, ValueError), match=r"ordinary tensors|has no numbers"):
            stream.state = h
    assert torch.equal(stream.state, state)


def test_it_computes_what_torchs_layer_does_whose_mode_was_set():
    rnn, x = nn.RNN(3, 4), torch.randn(1, 3)
    rnn.mode = "RNN_RELU"
    torch.testing.assert_close(Stream(rnn).step(x), rnn(x)[0])


@pytest.mark.skipif(cpu.problem() is not None, reason="torch's own step reads what is not there")
def test_numbers_taken_away_are_an_error():
    x = torch.randn(1, 3)
    x.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="storage was taken away"):
        Stream(elman.RNN(3, 4)).step(x)


def test_many_streams_given_up_leave_other_calls_alone():
    """What a closed stream held is not kept for later calls without end."""
    streams = [Stream(elman.RNN(3, 4)) for _ in range(3000)]
    del streams
    rnn, x = elman.RNN(8, 64), torch.randn(3, 1, 8)
    began = time.perf_counter()
    with torch.no_grad():
        for _ in range(200):
            rnn(x)
    assert time.perf_counter() - began < 1  # some 0.01 s; with a search of all of them, seconds
