"""Where a layer may live: without numbers, in another dtype, in memory that processes share."""

import copy

import pytest
import torch
from torch import multiprocessing, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import elman
from tests.nn.parity import FORMS, H_IN, H_OUT, LENGTHS, build, combinations, make_inputs

KINDS = (elman.RNN, nn.RNN)
CELLS = (elman.RNNCell, nn.RNNCell)


def packed_of(form, x):
    return pack_padded_sequence(x, LENGTHS[form], enforce_sorted=form == "packed sorted")


def seen(results):
    """What a caller sees of results without numbers: shapes, strides, dtypes, devices."""
    output, h_n = results
    output = output.data if isinstance(output, PackedSequence) else output
    return [(t.shape, t.stride(), t.dtype, t.device, t.requires_grad) for t in (output, h_n)]


# --- without numbers ---------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("with_hx", [False, True], ids=["no hx", "hx"])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_a_meta_device_around_all(form, with_hx, training):
    for arguments in combinations(dropout=0.0, bias=True, nonlinearity="tanh"):
        if form in LENGTHS and arguments["batch_first"]:
            continue
        x, hx = make_inputs(arguments, form, with_hx, torch.float32)
        given = packed_of(form, x.detach()) if form in LENGTHS else x.detach()
        if form in LENGTHS:  # how many rows a step has stays on the CPU, as torch wants it
            order = (i if i is None else i.to("meta") for i in given[2:])
            given = PackedSequence(given.data.to("meta"), given.batch_sizes, *order)
        else:
            given = given.to("meta")
        found = []
        for kind in KINDS:
            with torch.device("meta"), torch.set_grad_enabled(training):
                rnn = kind(H_IN, H_OUT, **arguments)
                results = rnn(given, None if hx is None else hx.detach().to("meta"))
                found.append(seen(results))
            if training:
                tensors = (t.data if isinstance(t, PackedSequence) else t for t in results)
                sum(t.sum() for t in tensors).backward()
                assert all(p.grad.shape == p.shape for p in rnn.parameters())
                assert all(p.grad.is_meta for p in rnn.parameters())
        assert found[0] == found[1], arguments


def test_a_cell_on_the_meta_device():
    for kind in CELLS:
        with torch.device("meta"):
            cell = kind(2, 4)
            h = cell(torch.zeros(3, 2), cell(torch.zeros(3, 2)))
        assert h.is_meta
        assert h.shape == (3, 4)
        h.sum().backward()
        assert cell.weight_hh.grad.is_meta


def test_from_the_meta_device_to_numbers():
    arguments = {"num_layers": 2, "bidirectional": True}
    wanted = build(nn.RNN, arguments, torch.float64)
    with torch.device("meta"):
        rnn = elman.RNN(H_IN, H_OUT, **arguments, dtype=torch.float64)
    x = torch.randn(5, 3, H_IN, dtype=torch.float64)
    rnn.to_empty(device="cpu")
    torch.manual_seed(0)
    rnn.reset_parameters()
    assert all(
        torch.equal(p, q) for p, q in zip(rnn.parameters(), wanted.parameters(), strict=True)
    )
    assigned = elman.RNN(H_IN, H_OUT, **arguments, device="meta")
    assigned.load_state_dict(wanted.state_dict(), assign=True)
    assert torch.equal(assigned(x)[0], rnn(x)[0])
    assert all(p.requires_grad for p in assigned.parameters())
    assert nn.utils.skip_init(elman.RNN, 2, 4).weight_hh_l0.device.type == "cpu"


@pytest.mark.parametrize("form", LENGTHS)
def test_a_default_device_leaves_packed_rows_where_they_are(form):
    rnn = build(elman.RNN, {"num_layers": 2, "bidirectional": True}, torch.float64)
    packed = packed_of(form, torch.randn(5, 3, H_IN, dtype=torch.float64))

    def run(data):
        output, h_n = rnn(packed._replace(data=data))
        return output.data, h_n

    def every(data):
        slopes = torch.func.grad(lambda data: sum(r.square().sum() for r in run(data)))
        return (*run(data), *torch.func.jvp(run, (data,), (data,)), slopes(data))

    flatten = torch.utils._pytree.tree_leaves
    expected = flatten(every(packed.data))
    with torch.device("meta"):
        got = flatten(every(packed.data))
    assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))


@pytest.mark.parametrize("form", [form for form in FORMS if form not in LENGTHS])
@pytest.mark.parametrize("with_hx", [False, True], ids=["no hx", "hx"])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_fake_tensors(form, with_hx, training):
    """Shapes and strides of the real ones; torch packs no fake rows."""
    for arguments in combinations(dropout=0.0, nonlinearity="tanh"):
        rnn = build(elman.RNN, arguments, torch.float32)
        x, hx = make_inputs(arguments, form, with_hx, torch.float32)
        with torch.set_grad_enabled(training):
            expected = seen(rnn(x, hx))
        with FakeTensorMode() as mode, torch.set_grad_enabled(training):
            fake = elman.RNN(H_IN, H_OUT, **arguments)
            results = fake(*(t if t is None else mode.from_tensor(t) for t in (x, hx)))
            assert all(isinstance(t, FakeTensor) for t in results)
            assert seen(results) == expected, arguments
            if training:
                sum(t.sum() for t in results).backward()
                assert all(p.grad.shape == p.shape for p in fake.parameters())


# --- another dtype -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("swap", [False, True], ids=["in place", "swapped"])
def test_moved_to_a_dtype(dtype, swap):
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(swap)
    try:
        rnn = elman.RNN(2, 4, num_layers=2)
        twin = {torch.float16: rnn.half, torch.bfloat16: rnn.bfloat16, torch.float64: rnn.double}
        optimizer = torch.optim.SGD(rnn.parameters(), 0.1)
        assert twin[dtype]() is rnn
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)
    given = torch.ones(5, 3, 2, dtype=dtype)
    output, h_n = rnn(given)
    assert {output.dtype, h_n.dtype, *(p.dtype for p in rnn.parameters())} == {dtype}
    output.square().sum().backward()
    optimizer.step()  # which holds the very parameters that were moved
    assert not torch.equal(rnn(given)[0], output)


def test_a_default_dtype():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        rnn, cell = elman.RNN(2, 4), elman.RNNCell(2, 4)
        assert rnn(torch.ones(5, 3, 2))[1].dtype == torch.float64
        assert cell(torch.ones(3, 2)).dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


# --- memory that processes share ---------------------------------------------------------


def train(rnn):
    optimizer = torch.optim.SGD(rnn.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        rnn(torch.ones(5, 3, 2))[0].square().sum().backward()
        optimizer.step()


def train_here(rnn, queue):
    torch.set_num_threads(1)
    train(rnn)
    queue.put([p.is_shared() for p in rnn.parameters()])


def test_another_process_trains_our_weights():
    rnn = elman.RNN(2, 4, num_layers=2, bidirectional=True)
    alone = copy.deepcopy(rnn)
    assert rnn.share_memory() is rnn
    processes = multiprocessing.get_context("spawn")
    queue = processes.SimpleQueue()
    process = processes.Process(target=train_here, args=(rnn, queue))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    assert queue.get() == [True] * len(list(rnn.parameters()))
    train(alone)
    for ours, expected in zip(rnn.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours, expected)
