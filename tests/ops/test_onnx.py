"""What torch.export has recorded already: the operator elman::layer written as ONNX's RNN."""

import pytest
import torch
from torch import Tensor, nn

import elman
from elman.ops import cpu, onnx
from elman.ops.activations import NUMBERS
from tests.exported import NEAR, QUIET, run, session
from tests.tolerances import distance

pytestmark = [*QUIET, pytest.mark.skipif(cpu.problem() is not None, reason="no operator")]


class Operator(nn.Module):
    """The operator itself, as it stands in a recorded program."""

    def __init__(self, nonlinearity: str, bidirectional: bool, bias: bool):
        super().__init__()
        self.rnn = elman.RNN(3, 4, bidirectional=bidirectional, bias=bias)
        self.arguments = bias, NUMBERS[nonlinearity]

    def forward(self, x: Tensor, h_0: Tensor, batch_sizes: Tensor | None = None):
        weights = [w for direction in self.rnn.all_weights for w in direction]
        return torch.ops.elman.layer.default(x, h_0, weights, *self.arguments, batch_sizes)


@pytest.mark.parametrize(
    ("nonlinearity", "bidirectional", "bias"),
    [("tanh", True, True), ("relu", False, False), ("identity", True, False)],
)
def test_a_recorded_operator_becomes_the_node(nonlinearity, bidirectional, bias):
    module, D = Operator(nonlinearity, bidirectional, bias).eval(), 2 if bidirectional else 1
    N = torch.export.Dim("N")
    recorded = torch.export.export(
        module,
        (torch.randn(5, 2, 3), torch.randn(D, 2, 4)),
        dynamic_shapes={"x": {0: torch.export.Dim("L"), 1: N}, "h_0": {1: N}},
    )
    assert [n.target for n in recorded.graph.nodes].count(torch.ops.elman.layer.default) == 1
    program = torch.onnx.export(
        recorded, custom_translation_table=onnx.translations(), verbose=False
    )
    assert [n.op_type for n in program.model.graph.all_nodes()].count("RNN") == 1
    loaded = session(program)
    for steps, rows in ((7, 3), (1, 1)):
        inputs = torch.randn(steps, rows, 3), torch.randn(D, rows, 4).tanh()
        results = run(loaded, x=inputs[0], h_0=inputs[1])
        with torch.no_grad():
            for got, expected in zip(results, module(*inputs), strict=True):
                assert distance(got, expected) <= NEAR


def test_a_recorded_packed_layer_is_refused():
    module = Operator("tanh", False, True).eval()
    inputs = torch.randn(5, 3), torch.randn(1, 3, 4), torch.tensor([3, 2])
    recorded = torch.export.export(module, inputs)
    with pytest.raises(Exception, match="Error when calling function") as caught:
        torch.onnx.export(recorded, custom_translation_table=onnx.translations(), verbose=False)
    causes, error = [], caught.value
    while error is not None:
        causes.append(str(error))
        error = error.__cause__
    assert any("padded sequences, got packed ones" in cause for cause in causes)
