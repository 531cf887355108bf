"""A module written by torch.onnx.export and run by ONNX Runtime, for what is held beside it.

Importing this skips a file of tests where onnx, onnxscript or onnxruntime is not installed.
"""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from tests.tolerances import distance

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

#: How far ONNX Runtime may lie from the module in float32: what is promised, some hundred
#: roundings of states below 1. It is measured at a few.
NEAR = 1e-5

#: torch's own: what it says of its pytrees, and of one name for the rows of two inputs.
QUIET = [
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\):FutureWarning"),
    pytest.mark.filterwarnings("ignore:# The axis name. . will not be used:UserWarning"),
]


class Exported:
    """The ONNX program of a module, and a session of ONNX Runtime that runs it.

    Args:
        module: put into eval mode.
        inputs: by the names of its arguments, each an example and its open dimensions.
    """

    def __init__(self, module: nn.Module, **inputs: tuple[Tensor, dict[int, str]]) -> None:
        self.module = module.eval()
        self.program = torch.onnx.export(
            module,
            kwargs={name: example for name, (example, _) in inputs.items()},
            dynamic_shapes={name: open_dims for name, (_, open_dims) in inputs.items()},
            dynamo=True,
            verbose=False,
        )
        self.session = session(self.program)

    @property
    def nodes(self) -> Counter[str]:
        """How many nodes there are of each kind, those of graphs within the graph too."""
        return Counter(node.op_type for node in self.program.model.graph.all_nodes())

    @property
    def shapes(self) -> dict[str, list[int | str]]:
        """The inputs' shapes; an open dimension is its name."""
        return {given.name: given.shape for given in self.session.get_inputs()}

    def distance(self, **inputs: Tensor) -> float:
        """The largest difference between ONNX Runtime's results and the module's."""
        with torch.no_grad():
            expected = self.module(**inputs)
        expected = (expected,) if isinstance(expected, Tensor) else expected
        return max(
            distance(a, b) for a, b in zip(run(self.session, **inputs), expected, strict=True)
        )


def session(program: torch.onnx.ONNXProgram) -> "onnxruntime.InferenceSession":
    """The program as ONNX Runtime has loaded it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = program.model_proto.SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(loaded: "onnxruntime.InferenceSession", **inputs: Tensor) -> list[Tensor]:
    """The results, in the order of the graph's."""
    results = loaded.run(None, {name: x.numpy() for name, x in inputs.items()})
    return [torch.from_numpy(result) for result in results]
