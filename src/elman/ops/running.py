"""The rules of derivatives.py, called so that torch.compile can follow too."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from elman.ops.derivatives import GatedScan, LinearScan, Scan


def run_scan(*arguments: Any) -> Tensor:
    """`Scan`, which torch.compile can follow too."""
    if torch.compiler.is_compiling():
        _leave_to_later()
    return _scan(*arguments)


def run_gated_scan(*arguments: Any) -> tuple[Tensor, Tensor]:
    """`GatedScan`, likewise."""
    if torch.compiler.is_compiling():
        _leave_to_later()
    return _gated_scan(*arguments)


def run_linear_scan(*arguments: Any) -> Tensor:
    """`LinearScan`, likewise."""
    if torch.compiler.is_compiling():
        _leave_to_later()
    return _linear_scan(*arguments)


def _scan(*arguments: Any) -> Tensor:
    states: Tensor = _apply(Scan, arguments)
    return states


def _gated_scan(*arguments: Any) -> tuple[Tensor, Tensor]:
    both: tuple[Tensor, Tensor] = _apply(GatedScan, arguments)
    return both


def _linear_scan(*arguments: Any) -> Tensor:
    states: Tensor = _apply(LinearScan, arguments)
    return states


def _apply(rule: type[Function], arguments: tuple[Any, ...]) -> Any:
    if torch.is_inference_mode_enabled():  # as torch's operators, it is not for autograd then
        with torch.no_grad():
            return rule.apply(*arguments)
    return rule.apply(*arguments)


def _leave_to_later() -> bool:
    """Let torch.compile write the rules down unread, to run when it has a graph.

    It reads no rule that has a forward mode, but runs it under all of torch.func's transforms.
    That is said when it compiles: torch.compiler.allow_in_graph imports the compiler, which takes
    seconds that importing elman should not.
    """
    torch.compiler.allow_in_graph([_scan, _gated_scan, _linear_scan])
    return True


# what torch.compiler.assume_constant_result would mark: to be run where the compiler meets it
_leave_to_later._dynamo_marked_constant = True  # type: ignore[attr-defined]
