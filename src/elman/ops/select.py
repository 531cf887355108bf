"""Which backend serves a call, and why.

A backend is a module of this package with `scan` and `linear_scan` of the reference's
signature, and with `serves(device, dtype, H)`: None where it can, otherwise why not, in words. One
that can serve but is sometimes better not chosen unless it is asked for has `by_name`, of the same
arguments, as well, which says why.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from types import ModuleType
from typing import NamedTuple

import torch

#: Each backend and what it is, the preferred one first.
BACKENDS = {
    "cpu": "compiled kernels for the CPU",
    "cuda": "a CUDA kernel for NVIDIA GPUs whose blocks form clusters, as those of an H100",
    "triton": "Triton kernels for NVIDIA GPUs",
    "aten": "torch's own operators, on every device",
    "reference": "the plain loop, for reading and for checking the others",
}

#: In a backend's place: the registered operator, which runs where torch's dispatcher sends it.
OPERATORS = "operators"

_modules: dict[str, ModuleType] = {}
_of_this_thread = local()  # what torch.compile can read, as it cannot a ContextVar


class Choice(NamedTuple):
    """The backend that serves a call, and the reason in words."""

    backend: str
    reason: str


def backend_module(name: str) -> ModuleType:
    """The module of a backend, imported when first used; or that of the operators in a graph."""
    if name not in BACKENDS and name != OPERATORS:
        raise ValueError(f"backend should be one of {', '.join(BACKENDS)}, got {name!r}")
    if name not in _modules:  # functools.cache would make torch.compile warn
        _modules[name] = importlib.import_module(f"elman.ops.{name}")
    return _modules[name]


def asked_for() -> str | None:
    """The backend that `use_backend` set in this thread, if it did."""
    return getattr(_of_this_thread, "backend", None)


def select(
    device: torch.device, dtype: torch.dtype, backend: str | None = None, H: int | None = None
) -> Choice:
    """The backend for tensors of this device and dtype.

    Args:
        device, dtype: of the tensors of the call.
        H: how many units there are. Default: any that a backend serves.
        backend: a name from `BACKENDS` to insist on; by default the one that
            `use_backend` set, or else the first that can serve and need not be asked for.

    Raises:
        ValueError: the name is unknown, or that backend cannot serve the call. An explicit
            choice is never replaced by another.

    >>> select(torch.device("cpu"), torch.float32).backend in BACKENDS
    True
    """
    wanted = backend or asked_for()
    if wanted is not None:
        problem = backend_module(wanted).serves(device, dtype, H)
        if problem:
            raise ValueError(f"backend {wanted!r} cannot serve this call: {problem}")
        return Choice(wanted, "it was asked for by name")
    passed_over: list[str] = []
    for name, description in BACKENDS.items():
        module = backend_module(name)
        problem = module.serves(device, dtype, H)
        if problem is None and hasattr(module, "by_name"):
            problem = module.by_name(device, dtype, H)
        if problem is None:
            return Choice(name, "; ".join([*passed_over, description]))
        passed_over.append(f"not {name}: {problem}")
    raise ValueError(f"no backend serves {dtype} on {device}: {'; '.join(passed_over)}")


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Within this block every call of this thread that names no backend of its own uses this one.

    Of the thread, so also of other coroutines that run in it meanwhile.

    >>> with use_backend("reference"):
    ...     select(torch.device("cpu"), torch.float32).reason
    'it was asked for by name'
    """
    backend_module(name)
    before = asked_for()
    _of_this_thread.backend = name
    try:
        yield
    finally:
        _of_this_thread.backend = before
