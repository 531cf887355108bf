"""ONNX Runtime on ONNX's own RNN operator, a node for each layer; forward only."""

from typing import Any

import numpy as np

from elman.bench.cases import Case
from elman.bench.contestant import Contestant, not_installed
from elman.bench.work import Work

_OPSET, _IR = 17, 8  # old enough for every ONNX Runtime that is allowed


class OnnxRNN(Contestant):
    """As many threads within an operator as the case has; they rest between two calls."""

    name = "onnxruntime"
    can_train = False

    def __init__(self, work: Work) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = work.case.threads
        options.inter_op_num_threads = 1
        # a thread that waits for work would take it from whoever comes next
        options.add_session_config_entry("session.force_spinning_stop", "1")
        model = model_of(work.case, {n: w.numpy() for n, w in work.weights.items()})
        self.session: Any = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.feed = {"x": work.x.numpy()}

    @staticmethod
    def problem(case: Case) -> str | None:
        """Dense input."""
        if case.step or case.lengths is not None:
            return "written for dense sequences"
        return not_installed("onnxruntime", "onnx")

    def forward(self) -> Any:
        """The top layer's states."""
        return self.session.run(["y"], self.feed)[0]

    def train(self) -> Any:
        """It has no backward."""
        raise NotImplementedError

    def output(self) -> np.ndarray:
        """(L, N, D·H)."""
        return self.forward()

    def gradients(self) -> dict[str, np.ndarray]:
        """None."""
        return {}


def model_of(case: Case, weights: dict[str, np.ndarray]) -> bytes:
    """The ONNX model, layout 0: "x" (L, N, H_in) to "y" (L, N, D·H).

    Args:
        case: the shape.
        weights: by torch.nn.RNN's names.
    """
    from onnx import TensorProto, helper, numpy_helper

    direction = "bidirectional" if case.bidirectional else "forward"
    nodes, constants = [], {"joined": np.array([0, 0, -1])}
    below = "x"
    for layer in range(case.num_layers):
        suffixes = [f"_l{layer}", f"_l{layer}_reverse"][: case.directions]
        W, R, B = (f"{letter}{layer}" for letter in "WRB")
        constants[W] = np.stack([weights[f"weight_ih{s}"] for s in suffixes])  # (D, H, H_in)
        constants[R] = np.stack([weights[f"weight_hh{s}"] for s in suffixes])  # (D, H, H)
        constants[B] = np.stack(
            [np.concatenate([weights[f"bias_ih{s}"], weights[f"bias_hh{s}"]]) for s in suffixes]
        )  # (D, 2H)
        above = "y" if layer == case.num_layers - 1 else f"y{layer}"
        nodes += [
            helper.make_node(
                "RNN", [below, W, R, B], [f"Y{layer}"], hidden_size=case.H, direction=direction,
                activations=["Tanh"] * case.directions,
            ),  # (L, D, N, H)
            helper.make_node("Transpose", [f"Y{layer}"], [f"T{layer}"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"T{layer}", "joined"], [above]),
        ]  # fmt: skip
        below = above
    graph = helper.make_graph(
        nodes,
        "rnn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [case.L, case.N, case.H_in])],
        [
            helper.make_tensor_value_info(
                "y", TensorProto.FLOAT, [case.L, case.N, case.directions * case.H]
            )
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR).SerializeToString()
