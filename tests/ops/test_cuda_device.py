"""On a GPU itself, where there is one: what no emulator shows, and every transform there.

Held to float64 on the same GPU, by the plain loop; the same cases as elsewhere are test_cuda.py's.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacfwd, jvp, vmap

import elman
from elman.ops import linear_scan, reference, scan, select, use_backend
from elman.ops.cuda import layer as cuda_layer
from tests.tolerances import as_good, largest

HERE = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (9, 0)
pytestmark = [
    pytest.mark.skipif(not HERE, reason="no GPU with clusters"),
    # torch says so of its own layer in bfloat16
    pytest.mark.filterwarnings("ignore:RNN module weights are not part of single"),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype"),
]
f32, bf16, f16 = torch.float32, torch.bfloat16, torch.float16
SIZES = [(1, 7, 10), (33, 12, 100), (64, 20, 256), (9, 16, 512), (70, 10, 1024), (5, 9, 999)]
LENGTHS = (12, 12, 9, 3, 1)


@pytest.fixture(autouse=True)
def true_float32():
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def drawn(*shape, dtype):
    return torch.randn(*shape, device="cuda").to(dtype)


def close(ours, rival, truth, roundings):
    good, says = as_good(ours, rival, truth, roundings, max(1.0, largest(truth)))
    assert good, says


@pytest.mark.parametrize("dtype", [f32, bf16, f16], ids=str)
@pytest.mark.parametrize(("N", "L", "H"), SIZES)
def test_a_layer_is_as_good_as_cudnns(N, L, H, dtype):
    theirs = nn.RNN(H, H, bidirectional=N % 2 == 1).to("cuda", dtype)
    D = 2 if N % 2 else 1
    bars = drawn(L, N, D * H, dtype=dtype), drawn(D, N, H, dtype=dtype)
    x = drawn(L, N, H, dtype=dtype)

    def results(maker, as_dtype):
        rnn = maker(H, H, bidirectional=D == 2)
        rnn.load_state_dict(theirs.state_dict())
        rnn, leaf = rnn.to("cuda", as_dtype), x.to(as_dtype).requires_grad_()
        output, h_n = rnn(leaf)
        leaves = [leaf, *rnn.parameters()]
        given = [b.to(as_dtype) for b in bars]
        return [output, h_n, *torch.autograd.grad([output, h_n], leaves, given)]

    assert select(x.device, dtype, H=H).backend == "cuda"
    ours, rival = results(elman.RNN, dtype), results(nn.RNN, dtype)
    truth = results(nn.RNN, torch.float64)
    for mine, other, true in zip(ours, rival, truth, strict=True):
        # gradients of weights are sums over L·N rows
        close(mine, other, true, 4 * L * (1 + N))


@pytest.mark.parametrize("dtype", [f32, bf16], ids=str)
def test_lengths_and_the_same_bits_twice(dtype):
    rnn = elman.RNN(20, 256, num_layers=2, bidirectional=True).to("cuda", dtype)
    x = drawn(5, 12, 20, dtype=dtype).transpose(0, 1).requires_grad_()
    pack = nn.utils.rnn.pack_padded_sequence

    def results(layer, leaf):
        output, h_n = layer(pack(leaf, torch.tensor(LENGTHS)))
        loss = output.data.square().sum() + h_n.sum()
        return [output.data, h_n, *torch.autograd.grad(loss, [leaf, *layer.parameters()])]

    once = results(rnn, x)
    for a, b in zip(once, results(rnn, x), strict=True):
        assert torch.equal(a, b)
    wide = nn.RNN(20, 256, num_layers=2, bidirectional=True).to("cuda", torch.float64)
    narrow = nn.RNN(20, 256, num_layers=2, bidirectional=True).to("cuda", dtype)
    narrow.load_state_dict(rnn.state_dict())
    wide.load_state_dict(rnn.state_dict())
    truth = results(wide, x.detach().double().requires_grad_())
    for ours, rival, true in zip(once, results(narrow, x), truth, strict=True):
        close(ours, rival, true, 4 * 12 * 2 * 6)


def test_a_graph_is_captured_and_runs_anew():
    """CUDA refuses to capture whatever waits for the device."""
    rnn = elman.RNN(64, 256).cuda()
    x = drawn(30, 8, 64, dtype=f32)
    sizes = torch.tensor([4] * 10 + [2] * 5)
    packed = nn.utils.rnn.PackedSequence(drawn(50, 64, dtype=f32), sizes)

    def step():
        rnn.zero_grad()
        (rnn(x)[0].square().sum() + rnn(packed)[0].data.square().sum()).backward()

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    rnn.zero_grad()
    with torch.cuda.graph(graph):
        (rnn(x)[0].square().sum() + rnn(packed)[0].data.square().sum()).backward()
    x.copy_(drawn(30, 8, 64, dtype=f32))
    graph.replay()
    torch.cuda.synchronize()
    found = [p.grad.clone() for p in rnn.parameters()]
    step()
    for ours, p in zip(found, rnn.parameters(), strict=True):
        assert torch.equal(ours, p.grad)


@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_on_the_gpu(batch_first):
    """Whoever has the host wait for the GPU is an error."""
    rnn = elman.RNN(20, 256, num_layers=2, bidirectional=True, batch_first=batch_first).cuda()
    x = torch.randn(6, 12, 20, device="cuda", requires_grad=True)
    x = x if batch_first else x.transpose(0, 1)
    lengths = torch.arange(0, 12, 2, device="cuda")

    def results(lengths):
        output, h_n = rnn(x, lengths=lengths)
        loss = output.square().sum() + h_n.sin().sum()
        return [output, h_n, *torch.autograd.grad(loss, [x, *rnn.parameters()])]

    torch.cuda.set_sync_debug_mode("error")
    try:
        ours = results(lengths)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for a, b in zip(ours, results(lengths.cpu()), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4), (a - b).abs().max()


def test_lengths_change_in_a_graph():
    rnn, x = elman.RNN(20, 64).cuda(), drawn(12, 6, 20, dtype=f32)
    lengths = torch.full((6,), 12, device="cuda")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            rnn(x, lengths=lengths)[0].sum().backward()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    rnn.zero_grad()
    with torch.cuda.graph(graph):
        output, h_n = rnn(x, lengths=lengths)
        output.square().sum().backward()
    lengths.copy_(torch.tensor([3, 0, 12, 7, 1, 5]))
    graph.replay()
    torch.cuda.synchronize()
    found = [output, h_n, *(p.grad for p in rnn.parameters())]
    found = [t.detach().clone() for t in found]
    del output, h_n  # and what torch keeps with them for the stream of the graph
    rnn.zero_grad()
    again, last = rnn(x, lengths=lengths.tolist())
    again.square().sum().backward()
    for a, b in zip(found, [again, last, *(p.grad for p in rnn.parameters())], strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4), (a - b).abs().max()


def test_a_product_beside_the_scan_changes_no_bit(monkeypatch):
    """Most of it in a stream of its own, while the scan runs; and so in one that was asked for."""
    rnn, x = elman.RNN(1024, 1024).to("cuda", bf16), drawn(1024, 64, 1024, dtype=bf16)
    assert 0 < cuda_layer.beside.steps_before(x, 1024) < 1024
    with torch.no_grad():
        ours = rnn(x)
        with torch.cuda.stream(torch.cuda.Stream()):
            elsewhere = [t.clone() for t in rnn(x)]
        torch.cuda.synchronize()
        monkeypatch.setattr(cuda_layer.beside, "steps_before", lambda x, H: len(x))
        whole = rnn(x)
    for a, b, c in zip(ours, elsewhere, whole, strict=True):
        assert torch.equal(a, b)
        assert torch.allclose(a.float(), c.float(), atol=0.05)


def test_every_transform():
    a, W, h_0 = drawn(9, 3, 70, dtype=f32), drawn(70, 70, dtype=f32) / 12, drawn(3, 70, dtype=f32)

    def run(backend, *tensors):
        return scan(*tensors, backend=backend)

    def results(backend, a, W, h_0):
        def twice(w):
            return grad(lambda v: run(backend, a, v, h_0).sin().sum())(w).square().sum()

        given = a, W, h_0
        value, tangent = jvp(lambda *t: run(backend, *t), given, tuple(t.flip(0) for t in given))
        many = vmap(lambda b: run(backend, b, W, h_0))(torch.stack([a, -a]))
        return [value, tangent, grad(twice)(W), many]

    truth = results("reference", *(t.double() for t in (a, W, h_0)))
    for ours, rival, true in zip(
        results("cuda", a, W, h_0), results("aten", a, W, h_0), truth, strict=True
    ):
        close(ours, rival, true, 4 * 9 * 9)
    columns = jacfwd(lambda h: run("cuda", a[:2, :1, :5], W[:5, :5].contiguous(), h))(h_0[:1, :5])
    assert columns.shape == (2, 1, 5, 1, 5)


def test_per_sample_gradients():
    rnn = elman.RNN(8, 32).cuda()
    weights, x = dict(rnn.named_parameters()), drawn(6, 4, 8, dtype=f32)

    def loss(weights, one):
        return functional_call(rnn, weights, (one[:, None],))[0].square().sum()

    each = vmap(grad(loss), (None, 1))(weights, x)
    rnn(x)[0].square().sum().backward()
    for name, p in rnn.named_parameters():
        assert torch.allclose(each[name].sum(0), p.grad, rtol=1e-4, atol=1e-4), name


def test_compiled_whole_and_exported():
    rnn = elman.RNN(16, 64, num_layers=2).cuda()
    x = drawn(12, 4, 16, dtype=f32).requires_grad_()
    expected = rnn(x)[0]
    run = torch.compile(rnn, fullgraph=True)
    output = run(x)[0]
    assert torch.allclose(output, expected, atol=1e-6)
    ours = torch.autograd.grad(output.square().sum(), [x, *rnn.parameters()])
    theirs = torch.autograd.grad(expected.square().sum(), [x, *rnn.parameters()])
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4)
    program = torch.export.export(rnn, (x.detach(),))
    assert torch.allclose(program.module()(x.detach())[0], expected, atol=1e-6)


def test_under_autocast_and_on_another_stream():
    rnn = elman.RNN(16, 64).cuda()
    x = drawn(12, 4, 16, dtype=f32)
    with torch.autocast("cuda", torch.bfloat16):
        output, _ = rnn(x)
    assert output.dtype == torch.bfloat16
    expected = rnn(x)[0]
    assert torch.allclose(output.float(), expected, atol=0.05)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        apart = rnn(x)[0]
    stream.synchronize()
    assert torch.equal(apart, expected)


def test_linear_scan_and_gates():
    x, M, s_0 = drawn(8, 3, 40, dtype=f32), drawn(40, 40, dtype=f32) / 9, drawn(3, 40, dtype=f32)
    p, q, e = (drawn(8, 3, 40, dtype=f32).sigmoid() for _ in range(3))
    wide = [t.double() for t in (x, M, s_0, p, q, e)]
    with use_backend("aten"):
        rival = linear_scan(x, M, s_0, p=p, q=q, e=e)
    truth = reference.linear_scan(*wide)
    close(linear_scan(x, M, s_0, p=p, q=q, e=e), rival, truth, 4 * 8)
    leaky = elman.RNN(8, 40, dynamics=elman.Dynamics(leak=0.3)).cuda()
    output, _ = leaky(drawn(5, 2, 8, dtype=f32))
    assert output.isfinite().all()


# --- streams -----------------------------------------------------------------------------------


def packed_rows(rnn):
    x = torch.randn(len(LENGTHS) * max(LENGTHS), rnn.input_size, device="cuda")
    rows = x.view(max(LENGTHS), len(LENGTHS), -1)
    return nn.utils.rnn.pack_padded_sequence(rows, torch.tensor(LENGTHS))


def test_rows_told_of_in_one_stream_are_read_in_another():
    """Where packed rows lie is copied to the GPU once; who reads it elsewhere waits for that."""
    rnn = elman.RNN(8, 32, device="cuda")
    packed = packed_rows(rnn)
    expected = nn.RNN(8, 32, device="cuda")
    expected.load_state_dict(rnn.state_dict())
    torch.cuda.synchronize()
    first, second = torch.cuda.Stream(), torch.cuda.Stream()
    with torch.no_grad():
        with torch.cuda.stream(first):
            torch.cuda._sleep(50_000_000)
            rnn(packed)
        with torch.cuda.stream(second):
            found, _ = rnn(packed)
        torch.cuda.synchronize()
        wanted, _ = expected(packed)
    assert torch.allclose(found.data, wanted.data, atol=1e-5)


def test_what_is_told_while_a_graph_is_captured_is_the_graphs_alone():
    """An eager call before its first replay finds out by itself."""
    rnn = elman.RNN(8, 32, device="cuda")
    packed, other = packed_rows(rnn), packed_rows(rnn)
    with torch.no_grad():
        rnn(other)  # compiles
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                rnn(packed)
        except RuntimeError as error:  # pinned memory may not be had there
            pytest.skip(str(error).splitlines()[0])
        found, _ = rnn(packed)
        expected = nn.RNN(8, 32, device="cuda")
        expected.load_state_dict(rnn.state_dict())
        wanted, _ = expected(packed)
    assert torch.allclose(found.data, wanted.data, atol=1e-5)
