"""torch.compile, whole: the layer, the cell, every form of input, torch.func inside, the models."""

import pytest
import torch
from torch._dynamo.backends.registry import lookup_backend
from torch.func import functional_call, grad, jacrev, jvp, vmap
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import elman
from elman.models import ConcatRNN, LanguageModel, SequenceClassifier, SequenceRegressor
from elman.ops import cpu, linear_scan, scan, use_backend

LAYERS = {
    "plain": {},
    "two layers, both ways": {"num_layers": 2, "bidirectional": True},
    "relu, no bias": {"nonlinearity": "relu", "bias": False},
    "batch first, identity, both ways": {
        "batch_first": True,
        "nonlinearity": "identity",
        "bidirectional": True,
    },
}


@pytest.fixture(autouse=True)
def anew():
    """Nothing compiled before is used again."""
    torch._dynamo.reset()


def compiled(f, **more):
    """Compiled in one graph, and every graph that was made."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return lookup_backend("aot_eager")(graph, inputs)

    return torch.compile(f, fullgraph=True, backend=backend, **more), graphs


def numbers(results):
    """The tensors of numbers among the results, packed or not."""
    if isinstance(results, torch.Tensor):
        return [results] if results.is_floating_point() else []
    return [t for r in results if r is not None for t in numbers(r)]


def same(f, *arguments, to=()):
    """Compiled, f gives what it gives: the very numbers where the kernels do it, and the
    gradients of `to`."""
    got, want = numbers(compiled(f)[0](*arguments)), numbers(f(*arguments))
    assert len(got) == len(want) > 0
    for one, other in zip(got, want, strict=True):
        if cpu.problem() is None:
            assert torch.equal(one, other)
        else:  # torch's own products sum some 12 terms in another order as they lie in memory
            few = 16 * torch.finfo(one.dtype).eps
            torch.testing.assert_close(one, other, rtol=few, atol=few)
    if to:
        bars = [torch.randn_like(t) for t in want]
        torch.autograd.backward(got, [b.clone() for b in bars], inputs=to)
        got = [t.grad for t in to]
        for one, other in zip(got, torch.autograd.grad(want, to, bars), strict=True):
            torch.testing.assert_close(one, other)


def state(rnn, N):
    D = (2 if rnn.bidirectional else 1) * rnn.num_layers
    return torch.randn(D, N, rnn.hidden_size, requires_grad=True)


@pytest.mark.parametrize("arguments", LAYERS.values(), ids=LAYERS)
def test_dense(arguments):
    rnn, x = elman.RNN(3, 4, **arguments), torch.randn(5, 2, 3, requires_grad=True)
    h_0 = state(rnn, 5 if rnn.batch_first else 2)
    same(rnn, x, to=[x, *rnn.parameters()])
    same(lambda x, h_0: rnn(x, h_0), x, h_0, to=[h_0])
    same(rnn, x.detach()[0])


@pytest.mark.parametrize("given", [False, True], ids=["", "h_0"])
@pytest.mark.parametrize("lengths", [[5, 3, 1], [3, 5, 1]], ids=["sorted", "unsorted"])
@pytest.mark.parametrize("arguments", LAYERS.values(), ids=LAYERS)
def test_packed(arguments, lengths, given):
    rnn = elman.RNN(3, 4, **arguments)
    packed = pack_padded_sequence(torch.randn(5, 3, 3), lengths, enforce_sorted=lengths[0] == 5)
    packed = packed._replace(data=packed.data.requires_grad_())
    h_0 = state(rnn, 3) if given else None
    to = [packed.data, *rnn.parameters(), *([h_0] if given else [])]
    same(lambda data, sizes, *rest: rnn(PackedSequence(data, sizes, *rest), h_0), *packed, to=to)
    torch._dynamo.reset()
    same(rnn, packed.__class__(packed.data.detach(), *packed[1:]), h_0)


@pytest.mark.parametrize("arguments", LAYERS.values(), ids=LAYERS)
def test_lengths(arguments):
    rnn, x = elman.RNN(3, 4, **arguments), torch.randn(5, 5, 3, requires_grad=True)
    h_0 = state(rnn, 5)
    same(
        lambda x, h_0, lengths: rnn(x, h_0, lengths=lengths),
        x, h_0, torch.tensor([3, 0, 5, 1, 4]), to=[x, h_0, *rnn.parameters()],
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lengths_in_half_precision(dtype):
    rnn, lengths = elman.RNN(3, 4, dtype=dtype), torch.tensor([3, 0])
    x = torch.randn(5, 2, 3, dtype=dtype)
    same(lambda x, lengths: rnn(x, lengths=lengths), x, lengths)


def test_lengths_and_torch_func_inside():
    x, lengths = torch.randn(5, 2, 3), torch.tensor([3, 0])

    def f(W, x, lengths):
        return functional_call(RNN, W, (x,), {"lengths": lengths})[0].sin().sum()

    torch.testing.assert_close(
        compiled(grad(f))[0](WEIGHTS, x, lengths), grad(f)(WEIGHTS, x, lengths)
    )


def test_the_output_may_be_written_in():
    x = torch.randn(5, 2, 3, requires_grad=True)

    def inside(x):
        output, _ = RNN(x)
        return output.mul_(2)

    def outside(run):
        output, _ = run(x)
        output.mul_(2).sum().backward()
        return x.grad

    same(inside, x, to=[x])
    x.grad = None
    got, x.grad = outside(compiled(RNN)[0]).clone(), None
    torch.testing.assert_close(got, outside(RNN))


def test_a_length_out_of_range_is_an_error_when_the_graph_runs():
    rnn = elman.RNN(3, 4)
    run, _ = compiled(lambda x, lengths: rnn(x, lengths=lengths))
    x = torch.randn(5, 2, 3)
    run(x, torch.tensor([5, 2]))
    with pytest.raises(RuntimeError, match="lengths should lie between 0 and L"):
        run(x, torch.tensor([6, 2]))


def test_a_wrong_batch_of_h_0_is_an_error_with_packed_rows():
    rnn = elman.RNN(3, 4)
    run, _ = compiled(lambda *parts: rnn(PackedSequence(*parts[:2]), parts[2]))
    data, sizes, *_ = pack_padded_sequence(torch.randn(5, 3, 3), [5, 3, 1])
    run(data, sizes, torch.zeros(1, 3, 4))
    with pytest.raises((RuntimeError, AssertionError)):
        run(data, sizes, torch.zeros(1, 4, 4))


SHAPES = [(5, 2), (7, 2), (9, 3), (11, 5), (100, 7), (30, 31)]


@pytest.mark.parametrize("form", ["dense", "packed", "lengths"])
def test_one_recompilation_serves_every_length_and_batch(form):
    rnn = elman.RNN(3, 4, num_layers=2, bidirectional=True)
    run, graphs = compiled(lambda x, lengths=None: rnn(x, lengths=lengths), dynamic=True)
    for L, N in SHAPES:
        x, lengths = torch.randn(L, N, 3, requires_grad=True), torch.arange(L, L - N, -1).clamp(1)
        if form == "packed":
            packed = pack_padded_sequence(x.detach(), lengths.flip(0), enforce_sorted=False)
            given = (packed._replace(data=packed.data.requires_grad_()),)
        else:
            given = (x, lengths) if form == "lengths" else (x,)
        got, want = run(*given), rnn(given[0], lengths=given[1] if len(given) > 1 else None)
        assert torch.equal(numbers(got)[0], numbers(want)[0])
        numbers(got)[0].sum().backward()
    assert len(graphs) <= 2


def test_the_cell():
    cell, x, h = elman.RNNCell(3, 4), torch.randn(2, 3), torch.randn(2, 4)
    same(cell, x, h, to=list(cell.parameters()))
    same(cell, x[0])
    run, graphs = compiled(cell, dynamic=True)
    for N in (2, 3, 5, 8):
        run(torch.randn(N, 3), torch.randn(N, 4))
    assert len(graphs) <= 2


RNN = elman.RNN(3, 4)
WEIGHTS = {name: p.detach() for name, p in RNN.named_parameters()}


def loss(weights, x):
    return functional_call(RNN, weights, (x,))[0].sin().sum()


FUNCTIONS = {
    "grad": grad(loss),
    "per-sample gradients": lambda W, x: vmap(grad(loss), (None, 1))(W, x[:, :, None]),
    "an ensemble": lambda W, x: vmap(loss, (0, None))(
        {name: torch.stack([w, 2 * w]) for name, w in W.items()}, x
    ),
    "jvp": lambda W, x: jvp(lambda x: loss(W, x), (x,), (x,)),
    "jvp of a gradient": lambda W, x: jvp(grad(lambda x: loss(W, x)), (x,), (x,)),
    "jvp of a jvp": lambda W, x: jvp(
        lambda x: jvp(lambda x: loss(W, x), (x,), (x.cos(),))[1], (x,), (x.sin(),)
    ),
    "jacrev of jacrev": lambda W, x: jacrev(jacrev(lambda x: loss(W, x)))(x[:, :1]),
}


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_torch_func_inside(f):
    W, x = WEIGHTS, torch.randn(4, 2, 3)
    got, want = compiled(f)[0](W, x), f(W, x)
    torch.testing.assert_close(got, want)


def test_packed_rows_and_torch_func_inside():
    data, sizes, *_ = pack_padded_sequence(torch.randn(5, 3, 3), [5, 3, 1])

    def loss_of_packed(W, data, sizes):
        packed = PackedSequence(data, sizes)
        return functional_call(RNN, W, (packed, torch.zeros(1, 3, 4)))[0].data.sin().sum()

    f = grad(loss_of_packed)
    torch.testing.assert_close(compiled(f)[0](WEIGHTS, data, sizes), f(WEIGHTS, data, sizes))


def test_autocast_and_half_precision():
    x = torch.randn(5, 2, 3)

    def cast(x):
        with torch.autocast("cpu", torch.bfloat16):
            return RNN(x)

    same(cast, x)
    small = elman.RNN(3, 4, dtype=torch.bfloat16)
    same(small, x.bfloat16())


def test_a_backend_asked_for_is_kept():
    x = torch.randn(5, 2, 3)

    def asked(x):
        with use_backend("reference"):
            return RNN(x)

    same(asked, x)
    graphs = []
    torch._dynamo.reset()
    torch.compile(asked, backend=lambda graph, _: graphs.append(graph) or graph)(x)
    assert not any("elman.layer" in str(node.target) for node in graphs[0].graph.nodes)


def test_the_scans():
    a, W, h_0 = torch.randn(5, 2, 4), torch.randn(4, 4), torch.randn(2, 4)
    to = [t.requires_grad_() for t in (a, W, h_0)]
    same(lambda a, W, h_0: scan(a, W, h_0, "relu", reverse=True), a, W, h_0, to=to)
    for t in to:
        t.grad = None
    same(lambda a, W, h_0: linear_scan(a, W, h_0, p=a, e=a), a, W, h_0, to=to)


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (SequenceClassifier(6, 8), (torch.randn(3, 5, 6), torch.tensor([5, 0, 3]))),
        (
            SequenceClassifier(6, 8, vocab_size=9, bidirectional=True, num_layers=2),
            (torch.randint(9, (3, 5)), torch.tensor([5, 2, 3])),
        ),
        (SequenceClassifier(6, 8), (torch.randn(3, 5, 6),)),
        (LanguageModel(9, 4, 8), (torch.randint(9, (3, 5)), torch.randn(1, 3, 8))),
        (SequenceRegressor(2), (torch.randn(3, 5, 2),)),
        (ConcatRNN(3, 4, 2), (torch.randn(3, 3), torch.randn(3, 4))),
    ],
    ids=["vectors", "tokens", "no lengths", "language", "regressor", "concat"],
)
def test_the_models(model, given):
    same(model, *given, to=list(model.parameters())[:1])


def test_inductor_takes_it_too():
    """The compiler that torch.compile takes by default, down to machine code."""
    rnn, x = elman.RNN(3, 4, bidirectional=True), torch.randn(5, 2, 3, requires_grad=True)
    run = torch.compile(rnn, fullgraph=True)
    for _ in range(2):
        output, h_n = run(x)
        (output.sum() + h_n.sum()).backward()
    torch.testing.assert_close(output, rnn(x)[0])


def test_inductor_reads_rows_that_lie_otherwise():
    """Channels of a convolution, one of them, as the input: their gradient lies as they do."""
    convolution, rnn = torch.nn.Conv1d(2, 1, 1), elman.RNN(1, 4)

    def f(x):
        return rnn(convolution(x).permute(2, 0, 1))[0]

    x = torch.randn(3, 2, 5)
    torch.compile(f, fullgraph=True)(x).sum().backward()
    got, convolution.weight.grad = convolution.weight.grad, None
    f(x).sum().backward()
    torch.testing.assert_close(got, convolution.weight.grad)


def test_torch_does_not():
    rnn = torch.nn.RNN(3, 4)
    try:
        torch.compile(rnn, fullgraph=True, backend="eager")(torch.randn(5, 2, 3))
    except torch._dynamo.exc.Unsupported:
        return
    pytest.skip(f"torch {torch.__version__} compiles its own in one graph; see README's claims")
