"""A network that ONNX Runtime runs, in the place of the one in torch that it was exported from."""

from itertools import zip_longest
from textwrap import shorten
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from elman.errors import RunDirectoryError
from elman.tasks.onnx.packages import needed
from elman.tasks.onnx.ports import Port, Ports

_TYPES = {"int64": "tensor(int64)", "float32": "tensor(float)"}


class RuntimeNetwork(nn.Module):
    """Called like the network it was exported from: what is left out is filled in.

    As many threads as torch has when it is made.

    Args:
        data: an ONNX file that keeps nothing in others.
        ports: what goes in and comes out.
        name: of the file, for errors.

    Raises:
        RunDirectoryError: ONNX Runtime cannot run it, or it has other ports.
        SettingError: the package onnxruntime is not installed.
    """

    def __init__(self, data: bytes, ports: Ports, name: str) -> None:
        super().__init__()
        self.ports, self.name, self._data = ports, name, data
        self._open()

    def _open(self) -> None:
        (library,) = needed("onnxruntime")
        self._session: Any = _session(library, self._data, self.name)
        for kind, ports, there in (
            ("input", self.ports.inputs, self._session.get_inputs()),
            ("output", self.ports.outputs, self._session.get_outputs()),
        ):
            if [p.name for p in ports] != [t.name for t in there] or not all(
                map(_fits, ports, there)
            ):
                got = "; ".join(f"{t.name}: {t.type} {tuple(t.shape)}" for t in there)
                expected = "; ".join(f"{p.name}: {p.dtype} {p.shape}" for p in ports)
                raise RunDirectoryError(
                    f"{self.name}: its documents and its network do not belong together: as "
                    f"{kind} there should be {expected}, got {shorten(got, 200)}; export it again"
                )

    def forward(self, *given: Tensor | None) -> Any:
        """The outputs for these inputs, a tensor, or a tuple of them, outside of autograd."""
        feed, sizes = {}, dict[str, int]()
        for port, x in zip_longest(self.ports.inputs, given):
            x = port.default(sizes) if x is None else x.detach().cpu()
            sizes |= {n: k for n, k in zip(port.shape, x.shape, strict=True) if isinstance(n, str)}
            feed[port.name] = x.contiguous().numpy()
        try:
            found = self._session.run([port.name for port in self.ports.outputs], feed)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's have no common ground
            raise RunDirectoryError(
                f"{self.name}: ONNX Runtime cannot run it: {_line(error)}"
            ) from None
        outputs = tuple(map(torch.from_numpy, found))
        return outputs[0] if len(outputs) == 1 else outputs

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}  # a copy opens its own

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._open()


def _session(library: ModuleType, data: bytes, name: str) -> Any:
    options = library.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong comes as an exception
    options.enable_mem_pattern = False  # it keeps one for every shape that ever came
    try:
        return library.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's have no common ground
        raise RunDirectoryError(
            f"{name}: ONNX Runtime {library.__version__} cannot load it: {_line(error)}; "
            "try a newer one: pip install --upgrade onnxruntime"
        ) from None


def _fits(port: Port, there: Any) -> bool:
    """Whether an input or output of ONNX Runtime's has the type and the shape."""
    return (
        there.type == _TYPES[port.dtype]
        and len(there.shape) == len(port.shape)
        and all(
            isinstance(n, str) or n is None if isinstance(size, str) else n == size
            for n, size in zip(there.shape, port.shape, strict=True)
        )
    )


def _line(error: Exception) -> str:
    return shorten(str(error), 200, placeholder=" ...")
