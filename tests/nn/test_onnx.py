"""torch.onnx.export: each layer is one RNN node, open in L and N, and ONNX Runtime agrees."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import elman
from tests.exported import NEAR, QUIET, Exported, run, session
from tests.tolerances import distance, worst

pytestmark = QUIET

OPEN = {0: "L", 1: "N"}
#: L and N that no export below traces with; it traces with L = 5 and N = 2.
NEVER_TRACED = [(7, 3), (1, 1), (1, 4), (40, 1)]
NETWORKS = {
    "tanh": {},
    "deep, both ways": {"num_layers": 2, "bidirectional": True},
    "relu, both ways": {"nonlinearity": "relu", "bidirectional": True, "bias": False},
    "identity": {"nonlinearity": "identity", "num_layers": 3},
    "identity, both ways": {"nonlinearity": "identity", "bidirectional": True},
    "relu, rows first": {"nonlinearity": "relu", "batch_first": True},
    "rows first, both ways": {"batch_first": True, "bidirectional": True, "bias": False},
} | {
    f"{f}, both ways": {"nonlinearity": f, "bidirectional": True}
    for f in ("sigmoid", "hardsigmoid", "leaky_relu", "elu", "softsign", "softplus")
}


@pytest.mark.parametrize(
    ("network", "given"),
    [*((name, True) for name in NETWORKS), ("tanh", False), ("deep, both ways", False)],
)
def test_the_runtime_agrees_at_any_length_and_batch(network, given):
    rnn = elman.RNN(3, 4, **NETWORKS[network])
    steps, rows = (1, 0) if rnn.batch_first else (0, 1)
    layers, D = rnn.num_layers, 2 if rnn.bidirectional else 1

    def inputs(L, N):
        x = torch.randn((N, L, 3) if rnn.batch_first else (L, N, 3))
        return {"input": x} | ({"hx": torch.randn(D * layers, N, 4).tanh()} if given else {})

    names = {"input": {steps: "L", rows: "N"}, "hx": {1: "N"}}
    exported = Exported(rnn, **{k: (x, names[k]) for k, x in inputs(5, 2).items()})
    assert exported.nodes["RNN"] == layers
    assert not exported.nodes.keys() & {"Loop", "Scan", "If", "MatMul", "Gemm"}
    assert exported.shapes["input"] == (["N", "L", 3] if rnn.batch_first else ["L", "N", 3])
    if given:
        assert exported.shapes["hx"] == [D * layers, "N", 4]
    for L, N in NEVER_TRACED:
        assert exported.distance(**inputs(L, N)) <= NEAR


@pytest.mark.parametrize("f", ["hardtanh", "selu"])
def test_what_onnx_does_not_have_is_said(f):
    with pytest.raises(torch.onnx.OnnxExporterError) as caught:
        Exported(elman.RNN(3, 4, nonlinearity=f), input=(torch.randn(5, 2, 3), {}))
    assert f"got {f!r}, which it does not have" in str(caught.value.__cause__)


@pytest.mark.parametrize("given", [False, True], ids=["from zero", "hx given"])
def test_without_a_batch(given):
    rnn = elman.RNN(3, 4, bidirectional=True)
    hx = {"hx": (torch.randn(2, 4), {})} if given else {}
    exported = Exported(rnn, input=(torch.randn(5, 3), {0: "L"}), **hx)
    assert exported.shapes["input"] == ["L", 3]
    for L in (1, 9):
        inputs = {"input": torch.randn(L, 3)} | ({"hx": torch.randn(2, 4)} if given else {})
        assert exported.distance(**inputs) <= NEAR


LENGTHS = [[2, 7, 0, 1], [0], [1], [3, 3, 3]]


@pytest.mark.parametrize(
    ("network", "given", "dtype"),
    [
        ("tanh", False, torch.int64),
        ("deep, both ways", True, torch.int32),
        ("rows first, both ways", False, torch.int64),
    ],
)
def test_rows_of_different_lengths(network, given, dtype):
    rnn = elman.RNN(3, 4, **NETWORKS[network])
    layers, D = rnn.num_layers, 2 if rnn.bidirectional else 1

    def inputs(lengths, L):
        x = torch.randn(L, len(lengths), 3)
        for row, length in enumerate(lengths):
            x[length:, row] = float("nan")  # never read
        x = x.transpose(0, 1).contiguous() if rnn.batch_first else x
        h_0 = {"hx": torch.randn(D * layers, len(lengths), 4).tanh()} if given else {}
        return {"input": x} | h_0 | {"lengths": torch.tensor(lengths, dtype=dtype)}

    steps, rows = (1, 0) if rnn.batch_first else (0, 1)
    names = {"input": {steps: "L", rows: "N"}, "hx": {1: "N"}, "lengths": {0: "N"}}
    exported = Exported(rnn, **{k: (x, names[k]) for k, x in inputs([5, 3], 5).items()})
    assert exported.shapes["lengths"] == ["N"]
    nodes = [n for n in exported.program.model.graph.all_nodes() if n.op_type == "RNN"]
    assert len(nodes) == layers
    assert all(node.inputs[4] is not None for node in nodes)  # sequence_lens
    for lengths in LENGTHS:
        assert exported.distance(**inputs(lengths, 7)) <= NEAR
    with pytest.raises(Exception, match="sequence_lens"):
        run(exported.session, **inputs([8, 1], 7))


def test_a_length_of_one_leaves_the_dimensions_open():
    exported = Exported(elman.RNN(3, 4), input=(torch.randn(1, 1, 3), OPEN))
    assert exported.shapes["input"] == ["L", "N", 3]
    assert exported.distance(input=torch.randn(6, 3, 3)) <= NEAR


def test_no_steps_and_no_rows():
    exported = Exported(elman.RNN(3, 4, bidirectional=True), input=(torch.randn(5, 2, 3), OPEN))
    for L, N in ((0, 2), (3, 0)):
        assert exported.distance(input=torch.randn(L, N, 3)) == 0


def test_large_weights_and_a_long_sequence():
    rnn = elman.RNN(70, 300, bidirectional=True)
    exported = Exported(rnn, input=(torch.randn(2, 2, 70), OPEN))
    assert exported.nodes["RNN"] == 1
    assert exported.distance(input=torch.randn(200, 3, 70)) <= NEAR


def test_within_a_module_beside_other_layers():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = elman.RNN(3, 4, 2), elman.RNN(4, 5, nonlinearity="relu")
            self.head = nn.Linear(5, 2)

        def forward(self, x):
            return self.head(self.second(self.first(x)[0])[0][-1])

    exported = Exported(Model(), x=(torch.randn(5, 2, 3), OPEN))
    assert exported.nodes["RNN"] == 3
    assert exported.distance(x=torch.randn(8, 3, 3)) <= NEAR


@pytest.mark.parametrize("given", [False, True], ids=["from zero", "hx given"])
def test_the_cell(given):
    cell = elman.RNNCell(3, 4)
    hx = {"hx": (torch.randn(2, 4), {0: "N"})} if given else {}
    exported = Exported(cell, input=(torch.randn(2, 3), {0: "N"}), **hx)
    for N in (1, 5):
        inputs = {"input": torch.randn(N, 3)} | ({"hx": torch.randn(N, 4)} if given else {})
        assert exported.distance(**inputs) <= NEAR


def test_float16_is_written_and_near():
    rnn = elman.RNN(3, 4).half()
    exported = Exported(rnn, input=(torch.randn(5, 2, 3).half(), OPEN))
    # states below 1: a few roundings of half an ulp at each of the steps
    assert exported.distance(input=torch.randn(7, 3, 3).half()) <= 8 * 2**-11


def test_float64_is_written_as_such():
    """ONNX Runtime has no such kernel and says so; ONNX's own evaluator agrees to the roundings."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    rnn, x = elman.RNN(3, 4, 2, dtype=torch.float64).eval(), torch.randn(5, 2, 3).double()
    program = torch.onnx.export(
        rnn, (x,), dynamo=True, dynamic_shapes={"input": OPEN}, verbose=False
    )
    onnx.checker.check_model(program.model_proto, full_check=True)
    y = torch.randn(7, 3, 3).double()
    results = ReferenceEvaluator(program.model_proto).run(None, {"input": y.numpy()})
    for got, expected in zip(results, rnn(y), strict=True):
        # in each of 7 steps of 2 layers the sums have 3 + 4 or 4 + 4 terms and 2 biases
        assert distance(torch.from_numpy(got), expected) <= worst(7 * (9 + 10), 1.0)
    with pytest.raises(Exception, match="Could not find an implementation for RNN"):
        session(program)


def test_bfloat16_is_refused():
    with pytest.raises(Exception, match=r"one dtype out of .* got torch.bfloat16"):
        Exported(elman.RNN(3, 4).bfloat16(), input=(torch.randn(5, 2, 3).bfloat16(), OPEN))


def test_packed_input_is_refused_and_told_of_lengths():
    class Packing(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = elman.RNN(3, 4)

        def forward(self, x, lengths):
            return self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))[1]

    example = {"x": (torch.randn(5, 2, 3), {}), "lengths": (torch.tensor([5, 2]), {})}
    with pytest.raises(Exception, match=r"padded sequences, got packed ones.*lengths=\.\.\."):
        Exported(Packing(), **example)


def test_the_rnn_of_torch_freezes_the_length_in_silence():
    rnn = nn.RNN(3, 4).eval()
    auto = dict.fromkeys((0, 1), torch.export.Dim.AUTO)
    with pytest.warns(UserWarning, match="_flat_weights"):
        program = torch.onnx.export(
            rnn, (torch.randn(5, 2, 3),), dynamo=True, dynamic_shapes=(auto,), verbose=False
        )
    loaded = session(program)
    if isinstance(loaded.get_inputs()[0].shape[0], int):
        pytest.skip("this torch says in the graph that the length is frozen")
    x = torch.randn(7, 2, 3)
    output, _ = run(loaded, input=x)
    if output.shape == (7, 2, 4):
        pytest.skip("this torch has mended it")
    assert output.shape == (5, 2, 4)  # two steps were dropped without a word
    torch.testing.assert_close(output, rnn(x)[0][:5])


def test_importing_elman_does_not_import_torch_onnx():
    code = (
        "import sys, torch, elman; elman.RNN(3, 4)(torch.zeros(5, 2, 3)); "
        "loaded = {'torch.onnx', 'onnx', 'onnxscript', 'onnxruntime'} & set(sys.modules); "
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
