"""What the ops ask of their arguments, and the words for what does not fit."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from elman.ops.activations import NONLINEARITIES


def check_tensors(tensors: Mapping[str, Tensor | None]) -> None:
    """Types, dtypes, devices and shapes: a sequence, a weight, an initial state, factors."""
    (x_name, x), (w_name, weight), (s_name, initial), *factors = tensors.items()
    for name, t in tensors.items():
        if t is None and (name, t) in factors:
            continue
        if not isinstance(t, Tensor):
            raise TypeError(f"{name} should be a Tensor, got {type(t).__name__}")
    assert x is not None
    assert weight is not None
    assert initial is not None
    for name, t in tensors.items():
        if t is not None and t.dtype != x.dtype:
            raise TypeError(
                f"{name} should have the dtype of {x_name}, {x.dtype}, got {t.dtype}; "
                f"convert one of them, for example {name}.to({x.dtype})"
            )
        if t is not None and t.device != x.device:
            raise ValueError(
                f"{name} should be on the device of {x_name}, {x.device}, got {t.device}"
            )
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(f"{x_name} should be floating-point, got {x.dtype}")
    row = weight.shape[:-1]  # (H,) or (G, H)
    if weight.dim() not in (2, 3) or weight.shape[-1] != weight.shape[-2]:
        raise ValueError(f"{w_name} should be (H, H) or (G, H, H), got {shape(weight)}")
    if initial.dim() != len(row) + 1 or initial.shape[1:] != row:
        raise ValueError(f"{s_name} should be (N, {commas(row)}), got {shape(initial)}")
    if x.shape[-len(row) :] != row:
        raise ValueError(f"{x_name} should end in ({commas(row)}), as {w_name}, got {shape(x)}")
    for name, factor in factors:
        if factor is not None and factor.shape != x.shape:
            raise ValueError(
                f"{name} should have the shape of {x_name}, {shape(x)}, got {shape(factor)}"
            )


def check_layer(
    x: Tensor, h_0: Tensor | None, weights: Sequence[Tensor], bias: bool, dense: bool
) -> None:
    """Shapes of what a layer is given, in the words of the kernels for the CPU, for a GPU's.

    Those read and write by address, so that nothing else would be told of a mistake.
    """
    if x.dim() != 3 and (dense or x.dim() != 2):
        wanted = (
            "a dense sequence should be (L, N, H_in)" if dense else "input should be 2-D or 3-D"
        )
        raise RuntimeError(f"elman: {wanted}, got {shape(x)}")
    each, H_in = (4 if bias else 2), x.shape[-1]
    D, H = len(weights) // each, weights[1].shape[0]
    shapes = (H, H_in), (H, H), (H,), (H,)
    for k, weight in enumerate(weights):
        if weight.shape != shapes[k % each]:
            raise RuntimeError(_not_so(_NAMES[k % each], shapes[k % each], weight))
        if weight.data_ptr() == 0 and weight.numel() > 0:
            raise RuntimeError(_taken_away(_NAMES[k % each]))
    if x.data_ptr() == 0 and x.numel() > 0:
        raise RuntimeError(_taken_away("input"))
    if h_0 is not None:
        expected = D, x.shape[1] if x.dim() == 3 else h_0.shape[-2], H
        if h_0.shape != expected:
            raise RuntimeError(_not_so("h_0", expected, h_0))
        if h_0.data_ptr() == 0 and h_0.numel() > 0:
            raise RuntimeError(_taken_away("h_0"))


def check_layer_bars(
    output_bar: Tensor | None, h_n_bar: Tensor | None, x: Tensor, h_0: Tensor, output: Tensor
) -> None:
    """Shapes of what the gradients of such a layer are told from, likewise."""
    D, _N, H = h_0.shape
    whole = *x.shape[:-1], D * H
    for name, t, expected in (
        ("output", output, whole),
        ("output_bar", output_bar, whole),
        ("h_n_bar", h_n_bar, tuple(h_0.shape)),
    ):
        if t is None:
            continue
        if t.shape != expected:
            raise RuntimeError(_not_so(name, expected, t))
        if t.data_ptr() == 0 and t.numel() > 0:
            raise RuntimeError(_taken_away(name))


_NAMES = "weight_ih", "weight_hh", "bias_ih", "bias_hh"


def _not_so(name: str, expected: tuple[int, ...], got: Tensor) -> str:
    return f"elman: {name} should be ({commas(expected)}), got {shape(got)}"


def _taken_away(name: str) -> str:
    return f"elman: {name} has no numbers: its storage was taken away"


def check_nonlinearity(nonlinearity: object, bound: object) -> None:
    """A name that is known or a function, and a bound above zero."""
    if nonlinearity not in NONLINEARITIES and not callable(nonlinearity):
        known = ", ".join(map(repr, NONLINEARITIES))
        raise ValueError(
            f"nonlinearity should be one of {known}, or a function of a tensor, "
            f"got {nonlinearity!r}"
        )
    number = isinstance(bound, (int, float)) and not isinstance(bound, bool)
    if bound is not None and not (number and 0 < bound < math.inf):  # type: ignore[operator]
        raise ValueError(f"bound should be a number above zero, or None, got {bound!r}")


def check_batch_sizes(batch_sizes: Tensor | None, x: Tensor, initial: Tensor) -> None:
    """Dense (L, N, ...) without them; packed (rows, ...) that they divide, with them."""
    row = initial.shape[1:]
    if batch_sizes is None:
        if x.dim() != len(row) + 2 or x.shape[1] != initial.shape[0]:
            raise ValueError(
                f"a dense sequence should be (L, {initial.shape[0]}, {commas(row)}) to go with an "
                f"initial state of {shape(initial)}, got {shape(x)}; a packed one needs batch_sizes"
            )
        return
    if not isinstance(batch_sizes, Tensor) or batch_sizes.dtype != torch.int64:
        got = batch_sizes.dtype if isinstance(batch_sizes, Tensor) else type(batch_sizes).__name__
        raise TypeError(f"batch_sizes should be an int64 Tensor, got {got}")
    if batch_sizes.dim() != 1 or batch_sizes.device.type != "cpu":
        raise ValueError(
            "batch_sizes should be one-dimensional and on the CPU, got shape "
            f"{shape(batch_sizes)} on {batch_sizes.device}"
        )
    if x.dim() != len(row) + 1:
        raise ValueError(f"a packed sequence should be (rows, {commas(row)}), got {shape(x)}")
    if torch.compiler.is_compiling():
        return  # its values are not there to be read; the operators check them when they run
    sizes = batch_sizes.tolist()
    if sizes != sorted(sizes, reverse=True):
        raise ValueError("batch_sizes should never increase: sort the rows, the longest first")
    if sizes and (sizes[-1] < 0 or sizes[0] > initial.shape[0]):
        raise ValueError(
            f"batch_sizes should lie between 0 and the {initial.shape[0]} rows of the initial "
            f"state, got {sizes[-1]} to {sizes[0]}"
        )
    if sum(sizes) != x.shape[0]:
        raise ValueError(
            f"batch_sizes add up to {sum(sizes)} rows, but the sequence has {x.shape[0]}"
        )


def shape(x: Tensor) -> str:
    """(2, 3), as a person writes it."""
    return f"({commas(x.shape)})"


def commas(sizes: Sequence[int]) -> str:
    """2, 3 without the brackets."""
    return ", ".join(map(str, sizes))
