"""For kernels on a GPU: whether there is one to launch, and where packed rows lie.

That is told once for each batch_sizes, and remembered.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.utils.weak import WeakIdKeyDictionary

from elman.ops import aten
from elman.ops.layout import lengths_of, previous

#: Tensors that torch.compile and torch.export work with, which have no memory to read.
_WITHOUT_NUMBERS = (FakeTensor, FunctionalTensor)


def launches(*tensors: Tensor | None) -> bool:
    """Whether there is something to launch a kernel for.

    Not where torch itself writes the operations down, or asks for shapes alone: there its own
    operators stand for the kernel, as they do for those of aten.
    """
    return aten.may_write(*tensors) and not any(isinstance(t, _WITHOUT_NUMBERS) for t in tensors)


class Places(NamedTuple):
    """Where each step begins, (L,) int64, and how many steps each row has, (N,) int32."""

    offsets: Tensor
    lengths: Tensor


#: Of each batch_sizes what was told of it, as long as it lives.
_remembered: WeakIdKeyDictionary = WeakIdKeyDictionary()


def lies(batch_sizes: Tensor, N: int, device: torch.device) -> Places:
    """Where the rows of batch_sizes lie, on a device."""

    def tell() -> Places:
        lengths = lengths_of(batch_sizes, torch.arange(N, device="cpu"))
        offsets = batch_sizes.cumsum(0) - batch_sizes
        return Places(_moved(offsets, device), _moved(lengths.to(torch.int32), device))

    places: Places = _once(batch_sizes, ("lies", N), device, tell)
    return places


def before(batch_sizes: Tensor, N: int, device: torch.device, reverse: bool) -> Tensor:
    """Where the state lies that each row came from, in the states with the N initial ones below."""

    def tell() -> tuple[Tensor]:
        rows = int(batch_sizes.sum())
        index = torch.arange(rows, device="cpu")[:, None]
        initial = torch.arange(rows, rows + N, device="cpu")[:, None]
        return (_moved(previous(index, initial, batch_sizes, reverse)[:, 0], device),)

    (index,) = _once(batch_sizes, ("before", N, reverse), device, tell)
    return index


def _once(
    batch_sizes: Tensor, of: tuple, device: torch.device, tell: Callable[[], tuple[Tensor, ...]]
) -> Any:
    """What is told, and remembered with batch_sizes for as long as that is not written in.

    So a backward pass does not copy it again, and a CUDA graph that is captured after a first call
    copies nothing; it needs batch_sizes to live on. What is told while one is captured is in the
    graph's own memory, and there only once that is run: nobody else is given it.
    """
    if batch_sizes.is_inference():
        return tell()
    version, known = _remembered.get(batch_sizes, (None, {}))
    if version != batch_sizes._version:
        known = {}
        _remembered[batch_sizes] = batch_sizes._version, known
    what = *of, device
    if what in known:
        told, made = known[what]
        if made is not None:
            made.wait(told)
        return told
    told = tell()
    if device.type != "cuda":
        known[what] = told, None
    elif not torch.cuda.is_current_stream_capturing():
        known[what] = told, _Made(device)
    return told


class _Made:
    """When a stream has made some tensors, and which: so that another does not read them before."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.current_stream(device)
        self.event = self.stream.record_event()

    def wait(self, tensors: tuple[Tensor, ...]) -> None:
        """Have the current stream wait, and their memory for what that stream does with them."""
        current = torch.cuda.current_stream(self.stream.device)
        if current == self.stream or torch.cuda.is_current_stream_capturing():
            return  # who captures a graph has waited before
        current.wait_event(self.event)
        for t in tensors:
            t.record_stream(current)


def _moved(numbers: Tensor, device: torch.device) -> Tensor:
    """A copy on the device; from pinned memory no copy waits for it."""
    if device.type != "cuda":
        return numbers
    return numbers.pin_memory().to(device, non_blocking=True)
