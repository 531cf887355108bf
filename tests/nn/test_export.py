"""torch.export: a program with one operator a layer, open in length and batch; torch.jit.trace."""

import io
import subprocess
import sys
import threading

import pytest
import torch
from torch.export import Dim, export, load, save

import elman
from elman.models import ConcatRNN, LanguageModel, SequenceClassifier, SequenceRegressor

ANY = Dim.DYNAMIC
LAYERS = {
    "plain": {},
    "two layers, both ways": {"num_layers": 2, "bidirectional": True},
    "batch first, no bias, relu": {"batch_first": True, "bias": False, "nonlinearity": "relu"},
}


def operators(program):
    return [str(n.target) for n in program.graph.nodes if "elman" in str(n.target)]


def same(got, want):
    got, want = [[t] if isinstance(t, torch.Tensor) else list(t) for t in (got, want)]
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("strict", [False, True], ids=["", "strict"])
@pytest.mark.parametrize("arguments", LAYERS.values(), ids=LAYERS)
def test_any_length_and_batch(arguments, strict):
    rnn = elman.RNN(3, 4, **arguments)
    open_both = ({0: ANY, 1: ANY},)
    program = export(rnn, (torch.randn(5, 2, 3),), dynamic_shapes=open_both, strict=strict)
    assert operators(program) == ["elman.layer.default"] * rnn.num_layers
    run = program.module()
    for L, N in ((5, 2), (1, 1), (9, 3), (100, 7), (1, 4), (3, 1)):
        x = torch.randn(L, N, 3)
        same(run(x), rnn(x))


def test_h_0_and_lengths():
    rnn = elman.RNN(3, 4, 2, bidirectional=True)
    given = torch.randn(5, 3, 3), torch.randn(4, 3, 4), torch.tensor([5, 0, 3])
    shapes = {"input": {0: ANY, 1: ANY}, "hx": {1: ANY}, "lengths": {0: ANY}}

    class Takes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = rnn

        def forward(self, input, hx, lengths):  # noqa: A002
            return self.rnn(input, hx, lengths=lengths)

    run = export(Takes(), given, dynamic_shapes=shapes).module()
    for L, N in ((7, 4), (5, 3), (2, 9)):
        x, h_0, lengths = torch.randn(L, N, 3), torch.randn(4, N, 4), torch.randint(L + 1, (N,))
        same(run(x, h_0, lengths), rnn(x, h_0, lengths=lengths))


@pytest.mark.parametrize("strict", [False, True], ids=["", "strict"])
@pytest.mark.parametrize("what", ["reset", "a reversed layer"])
def test_lengths_leave_the_length_of_a_batch_open(what, strict):
    rnn = elman.RNN(3, 4, wiring=None if what == "reset" else elman.Wiring(reverse=True))
    free, x, lengths = {0: ANY, 1: ANY}, torch.randn(5, 2, 3), torch.tensor([2, 5])
    given, shapes = {"lengths": lengths}, {"input": free, "lengths": {0: ANY}}
    if what == "reset":
        given["reset"], shapes["reset"] = torch.rand(5, 2) < 0.5, free
    program = export(rnn, (x,), given, dynamic_shapes=shapes, strict=strict)
    x, lengths = torch.randn(9, 3, 3), torch.tensor([9, 0, 4])
    given = {"lengths": lengths}
    if what == "reset":
        given["reset"] = torch.rand(9, 3) < 0.5
    for got, want in zip(program.module()(x, **given), rnn(x, **given), strict=True):
        torch.testing.assert_close(got, want)


def test_an_exported_program_trains():
    """Its gradients are the layer's, of any order, with no need of the module it was made from."""
    rnn = elman.RNN(3, 4, bidirectional=True, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    run = export(rnn, (x.detach(),)).module()
    results = []
    for module in (run, rnn):
        output, h_n = module(x)
        (first,) = torch.autograd.grad(output.sin().sum() + h_n.sum(), x, create_graph=True)
        results.append([first, *torch.autograd.grad(first.square().sum(), module.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_saved_and_loaded():
    rnn, x = elman.RNN(3, 4), torch.randn(5, 2, 3)
    file = io.BytesIO()
    save(export(rnn, (x,), dynamic_shapes=({0: ANY, 1: ANY},)), file)
    file.seek(0)
    y = torch.randn(8, 3, 3)
    same(load(file).module()(y), rnn(y))


def test_loaded_where_only_elman_was_imported(tmp_path):
    save(export(elman.RNN(3, 4), (torch.randn(5, 2, 3),)), tmp_path / "rnn.pt2")
    code = "import sys, torch, elman; torch.export.load(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, tmp_path / "rnn.pt2"], check=True)


@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\):FutureWarning")
def test_another_thread_gets_numbers_while_one_exports():
    rnn, x = elman.RNN(3, 4, 2), torch.randn(5, 2, 3)
    with torch.no_grad():
        want, _ = rnn(x)
    wrong, done = [], threading.Event()

    def ask():
        while not done.is_set():
            with torch.no_grad():
                wrong.append(not torch.equal(rnn(x)[0], want))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        program = torch.onnx.export(elman.RNN(3, 4, 3).eval(), (x,), dynamo=True, verbose=False)
    finally:
        done.set()
        asking.join()
    assert [node.op_type for node in program.model.graph].count("RNN") == 3
    assert wrong
    assert not any(wrong)


@pytest.mark.parametrize(
    ("model", "given", "shapes"),
    [
        (
            SequenceClassifier(6, 8, vocab_size=9),
            (torch.randint(9, (3, 5)), torch.tensor([5, 2, 3])),
            ({0: ANY, 1: ANY}, {0: ANY}),
        ),
        (
            LanguageModel(9, 4, 8),
            (torch.randint(9, (3, 5)), torch.randn(1, 3, 8)),
            ({0: ANY, 1: ANY}, {1: ANY}),
        ),
        (SequenceRegressor(2), (torch.randn(3, 5, 2),), ({0: ANY, 1: ANY},)),
        (ConcatRNN(3, 4, 2), (torch.randn(3, 3), torch.randn(3, 4)), ({0: ANY}, {0: ANY})),
        (elman.RNNCell(3, 4), (torch.randn(3, 3), torch.randn(3, 4)), ({0: ANY}, {0: ANY})),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else "",
)
def test_the_models_and_the_cell(model, given, shapes):
    run = export(model.eval(), given, dynamic_shapes=shapes).module()
    more = [torch.cat([t, t], 1 if t.dim() == 3 and len(t) == 1 else 0) for t in given]
    same(run(*more), model(*more))


@pytest.mark.filterwarnings("ignore")  # of its list of weights
def test_torch_does_not():
    given = (torch.randn(5, 2, 3),)
    try:
        export(torch.nn.RNN(3, 4), given, dynamic_shapes=({0: ANY, 1: ANY},))
    except torch._dynamo.exc.UserError as error:
        assert "specialized" in str(error)  # noqa: PT017 - it may mend it, and then is skipped
        return
    pytest.skip(f"torch {torch.__version__} exports a free length; README should not claim it")


@pytest.mark.filterwarnings("ignore")  # the tracer warns of what it freezes, and of its own age
@pytest.mark.parametrize("both", [False, True], ids=["one direction", "both"])
def test_trace_keeps_the_numbers(both):
    model = elman.RNN(3, 4, num_layers=2, bidirectional=both).eval()
    traced = torch.jit.trace(model, (torch.randn(5, 2, 3),))
    y = torch.randn(5, 2, 3)
    for got, expected in zip(traced(y), model(y), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.filterwarnings("ignore")  # of what differs from call to call, and of its own age
@pytest.mark.parametrize(
    "arguments",
    [
        {"dynamics": elman.Dynamics(zoneout=0.5)},
        {"dynamics": elman.Dynamics(recurrent_dropout=0.5)},
        {"wiring": elman.Wiring(input_dropout=0.5, output_dropout=0.5)},
    ],
    ids=["zoneout", "recurrent dropout", "variational dropout"],
)
def test_trace_writes_down_what_is_drawn(arguments):
    """By an operator of torch's: the kernels' own draw it would not see."""
    rnn, x = elman.RNN(3, 4, **arguments), torch.randn(5, 2, 3)
    traced = torch.jit.trace(rnn, (x,), check_trace=False)
    assert any(node.kind() == "aten::rand" for node in traced.inlined_graph.nodes())
    outputs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        outputs.append(traced(x)[0])
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.filterwarnings("ignore")  # of its own age
def test_trace_refuses_to_freeze_lengths():
    class Takes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = elman.RNN(3, 4)

        def forward(self, x, lengths):
            return self.rnn(x, lengths=lengths)

    for model, x in (
        (Takes(), torch.randn(5, 2, 3)),
        (SequenceClassifier(3), torch.randn(2, 5, 3)),
    ):
        with pytest.raises(RuntimeError, match=r"freeze the lengths.*use torch\.export"):
            torch.jit.trace(model, (x, torch.tensor([5, 2])))
