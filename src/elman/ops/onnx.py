"""The layer as ONNX's own RNN node, which is what torch.onnx.export(..., dynamo=True) writes.

While it records, `layer` stands for the node: its results have the right shapes and no numbers.
The steps L and the rows N may both be left open. Y, (L, D, N, H), is turned to the layer's own
layout; the node's batch-first layout is none that ONNX Runtime has.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from elman.ops.activations import NUMBERS

#: ONNX's names for the nonlinearities it has, with their α and β where they have any.
ACTIVATIONS: dict[str, tuple[str, float | None, float | None]] = {
    "tanh": ("Tanh", None, None),
    "relu": ("Relu", None, None),
    "identity": ("Affine", 1.0, 0.0),  # αz + β
    "sigmoid": ("Sigmoid", None, None),
    "hardsigmoid": ("HardSigmoid", 1 / 6, 0.5),  # αz + β, within 0 and 1
    "leaky_relu": ("LeakyRelu", 0.01, None),
    "elu": ("Elu", 1.0, None),
    "softsign": ("Softsign", None, None),
    "softplus": ("Softplus", None, None),
}
_DTYPES = (torch.float32, torch.float64, torch.float16)  # bfloat16 came with opset 22


def exporting() -> bool:
    """Whether torch.onnx.export is recording in this thread, as can hold a node of ONNX's."""
    # the first question takes nanoseconds, the second would import torch.onnx; both answer for the
    # whole process, and another thread that runs the layer meanwhile wants numbers
    return (
        torch.compiler.is_exporting()
        and torch.onnx.is_in_onnx_export()
        and torch._guards.TracingContext.try_get() is not None
    )


# what torch.compiler.assume_constant_result would mark without importing the compiler: strict
# export is to ask it, where by itself it takes is_in_onnx_export for False
exporting._dynamo_marked_constant = True  # type: ignore[attr-defined]


def refuse_packed(batch_sizes: Tensor | None) -> None:
    """The node reads padded sequences only."""
    if batch_sizes is not None:
        raise ValueError(
            "ONNX should get padded sequences, got packed ones, which it does not know; call the "
            "RNN with the padded input and lengths=..., an integer Tensor (N,)"
        )


def layer(
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Sequence[Tensor]],
    nonlinearity: str = "tanh",
    batch_sizes: Tensor | None = None,
    *,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As `elman.ops.layer`, one node.

    Args:
        x: (L, N, H_in).
        h_0: (D, N, H).
        weights, nonlinearity: as in `elman.ops.layer`.
        batch_sizes: None; packed sequences are refused.
        lengths: steps of each row, integers (N,) from 0 to L. Default: all L.

    Returns:
        output: h_t of every t, (L, N, D·H); zero beyond a row's length.
        h_n: each row's last state, (D, N, H). For L = 0 ONNX Runtime's is zero, not `h_0`;
            for a length of 0 it is `h_0`.

    Raises:
        ValueError: the sequences are packed.
        TypeError: a dtype is not float32, float64 or float16, or they differ.

    Float64 is ONNX's, but ONNX Runtime (1.31) has no kernel for it on the CPU and says so when
    it loads the model. Source: https://onnx.ai/onnx/operators/onnx__RNN.html

    >>> W = torch.eye(2), torch.zeros(2, 2)
    >>> output, h_n = layer(torch.ones(3, 1, 2), torch.zeros(1, 1, 2), [W], "relu")
    >>> output.shape, h_n.shape
    (torch.Size([3, 1, 2]), torch.Size([1, 1, 2]))
    """
    refuse_packed(batch_sizes)
    _check_dtypes([x, h_0, *(tensor for direction in weights for tensor in direction)])
    L, (D, N, H) = x.shape[0], h_0.shape
    W = torch.stack([weight_ih for weight_ih, *_ in weights])  # (D, H, H_in)
    R = torch.stack([weight_hh for _, weight_hh, *_ in weights])  # (D, H, H)
    biases = [torch.cat(list(bias)) for _, _, *bias in weights if bias]
    B = torch.stack(biases) if biases else None  # (D, 2H)
    steps = None if lengths is None else lengths.to(h_0.device, torch.int32)
    Y, h_n = torch.onnx.ops.symbolic_multi_out(
        "RNN",
        [x, W, R, B, steps, h_0],
        _attributes(nonlinearity, D, H),
        dtypes=[x.dtype, x.dtype],
        shapes=[(L, D, N, H), (D, N, H)],
    )
    if steps is not None:  # ONNX says nothing of a row without steps; ONNX Runtime returns zero
        h_n = torch.where((steps == 0).unsqueeze(1), h_0, h_n)
    return Y.squeeze(1) if D == 1 else Y.transpose(1, 2).flatten(2), h_n  # (L, N, D·H)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """How torch.onnx.export writes a program that torch.export has recorded already.

    For its `custom_translation_table`: where the program holds the operator elman::layer, the
    ONNX model holds an RNN node. Needs onnxscript, as torch.onnx.export itself does. Lengths and
    packed rows go the other way only: torch.onnx.export of the module itself.
    """
    return {torch.ops.elman.layer.default: _translated}


def _translated(
    x: Any,
    h_0: Any,
    weights: Sequence[Any],
    bias: bool,
    nonlinearity: int,
    batch_sizes: Any = None,
) -> tuple[Any, Any]:
    """The operator elman::layer in ONNX's operators; every tensor is a value of its graph."""
    from onnxscript import opset18 as op

    refuse_packed(batch_sizes)
    each = 4 if bias else 2
    D, H = len(weights) // each, weights[1].shape[0]
    first = op.Constant(value_ints=[0])

    def stacked(tensors: Sequence[Any]) -> Any:
        return op.Concat(*[op.Unsqueeze(tensor, first) for tensor in tensors], axis=0)

    pairs = zip(weights[2::each], weights[3::each], strict=True) if bias else ()
    B = stacked([op.Concat(*pair, axis=0) for pair in pairs]) if bias else None
    (name,) = (name for name, number in NUMBERS.items() if number == nonlinearity)
    Y, h_n = op.RNN(
        x, stacked(weights[::each]), stacked(weights[1::each]), B, None, h_0,
        **_attributes(name, D, H),
    )  # fmt: skip
    Y = op.Transpose(Y, perm=[0, 2, 1, 3])  # (L, N, D, H)
    return op.Reshape(Y, op.Constant(value_ints=[0, 0, D * H])), h_n


def _attributes(nonlinearity: str, D: int, H: int) -> dict[str, Any]:
    """The node's attributes, for `symbolic_multi_out` and onnxscript alike."""
    if nonlinearity not in ACTIVATIONS:
        raise ValueError(
            f"ONNX's RNN should get one of {', '.join(ACTIVATIONS)}, got {nonlinearity!r}, which "
            "it does not have"
        )
    name, alpha, beta = ACTIVATIONS[nonlinearity]
    found: dict[str, Any] = {
        "hidden_size": H,
        "direction": "bidirectional" if D == 2 else "forward",
        "activations": [name] * D,
    }
    if alpha is not None:
        found["activation_alpha"] = [alpha] * D
    if beta is not None:
        found["activation_beta"] = [beta] * D
    return found


def _check_dtypes(tensors: Sequence[Tensor]) -> None:
    found = sorted({str(t.dtype) for t in tensors})
    if len(found) > 1 or tensors[0].dtype not in _DTYPES:
        known = ", ".join(map(str, _DTYPES))
        raise TypeError(
            f"ONNX's RNN should get one dtype out of {known}, got {', '.join(found)}; convert the "
            "module before the export, for example with .float(), and export without autocast"
        )
