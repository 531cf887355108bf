"""Writing a trained model as one ONNX file that says all that is needed to use it."""

import copy
import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import elman
from elman.errors import RunDirectoryError, SettingError
from elman.nn import RNN
from elman.ops.onnx import ACTIVATIONS
from elman.tasks.newfile import new_file
from elman.tasks.onnx.check import Difference, difference
from elman.tasks.onnx.file import DIGEST, FORMAT, OnnxFile
from elman.tasks.onnx.packages import needed
from elman.tasks.onnx.ports import Ports
from elman.tasks.onnx.runtime import RuntimeNetwork

_MOST = 2**31 - 2**24  # bytes of weights: protobuf ends at 2 GiB
_TRACED = {"N": 2, "L": 3}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        size: of it, in bytes.
        opset: the version of ONNX's operators.
        runtime: the version of ONNX Runtime that it was checked with.
        ports: what goes in and comes out.
        checked: how far ONNX Runtime's answers are from torch's.
        moved_aside: where an older file of that name went.
        unchanged: whether the same file was there already.
    """

    path: Path
    size: int
    opset: int
    runtime: str
    ports: Ports
    checked: Difference
    moved_aside: Path | None
    unchanged: bool


def export(
    path: Path, network: nn.Module, ports: Ports, documents: dict[str, bytes], title: str
) -> Exported:
    """Write a file, load it in ONNX Runtime, compare, and only then put it in its place.

    Args:
        path: where to; its name ends with .onnx.
        network: a trained one; it is copied.
        ports: what goes into it and comes out.
        documents: for the metadata.
        title: of the graph.

    Raises:
        RunDirectoryError: the file cannot be written, or does not answer as the network does.
        SettingError: a package is missing, the name ends in another way, or the network is too
            large.
        TrainingError: the network's numbers are not finite.
    """
    if path.suffix.lower() != ".onnx":
        raise SettingError(f"{path}: the name should end with .onnx")
    _check_layers(path, network)
    _, _, runtime = needed("onnx", "onnxscript", "onnxruntime")
    weights = sum(t.numel() * t.element_size() for t in network.state_dict().values())
    if weights > _MOST:
        raise SettingError(f"{path}: the weights are {weights:,} bytes; one ONNX file holds 2 GiB")
    network = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
    with new_file(path) as file:
        data, opset = _model_bytes(network, ports, documents, title)
        file.staging.write_bytes(data)
        written = OnnxFile(file.staging)
        checked = difference(network, RuntimeNetwork(written.data, ports, str(path)), ports)
        if not checked.fits:
            raise RunDirectoryError(
                f"{path}: not written: ONNX Runtime {runtime.__version__} answers otherwise than "
                f"torch, by up to {checked.largest:.2g}, {checked.share:.3g} times what rounding "
                "explains; please report this"
            )
    return Exported(
        path, len(data), opset, runtime.__version__, ports, checked,
        None if file.moved_aside is None else path.with_name(file.moved_aside.name),
        file.unchanged,
    )  # fmt: skip


def _check_layers(path: Path, network: nn.Module) -> None:
    """ONNX's RNN node is a plain layer.

    Raises:
        SettingError: the network's has more than that node knows.
    """
    for layer in network.modules():
        if not isinstance(layer, RNN):
            continue
        if not layer.plain_in_eval:
            raise SettingError(
                f"{path}: ONNX's RNN has no dynamics, and this model's are {layer.dynamics}; "
                "train it without leak, zoneout and layer norm to export it"
            )
        if layer.nonlinearity not in ACTIVATIONS:
            raise SettingError(
                f"{path}: ONNX's RNN has no {layer.nonlinearity}; it has {', '.join(ACTIVATIONS)}"
            )


def _model_bytes(
    network: nn.Module, ports: Ports, documents: dict[str, bytes], title: str
) -> tuple[bytes, int]:
    """The ONNX file of a network in eval mode, and the version of its operators."""
    proto = _traced(network, ports)
    _clean(proto)
    proto.producer_name, proto.producer_version = "elman", elman.__version__
    proto.graph.name = title
    for port, there in zip(
        (*ports.inputs, *ports.outputs), (*proto.graph.input, *proto.graph.output), strict=True
    ):
        there.doc_string = port.says
    facts = {"elman.format": str(FORMAT), "elman.version": elman.__version__}
    facts |= {name: data.decode("utf-8") for name, data in documents.items()}
    for key, value in {**facts, DIGEST: "0" * 64}.items():
        proto.metadata_props.add(key=key, value=value)
    data = proto.SerializeToString(deterministic=True)
    proto.metadata_props[-1].value = hashlib.sha256(data).hexdigest()
    (opset,) = (known.version for known in proto.opset_import if known.domain == "")
    return proto.SerializeToString(deterministic=True), opset


def _traced(network: nn.Module, ports: Ports) -> Any:
    """The network as torch.onnx writes it, of any number of rows and steps."""
    letters = {letter: torch.export.Dim(letter) for letter in _TRACED}
    shapes = [
        {axis: letters[n] for axis, n in enumerate(port.shape) if isinstance(n, str)}
        for port in ports.inputs
    ]
    with _quiet():
        program = torch.onnx.export(
            network,
            tuple(port.default(_TRACED) for port in ports.inputs),
            input_names=[port.name for port in ports.inputs],
            output_names=[port.name for port in ports.outputs],
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _clean(proto: Any) -> None:
    """Take away where in which file of this machine each operator was written down."""
    for part in (proto.graph, *proto.functions):
        del part.metadata_props[:]
        for kind in ("node", "input", "output", "value_info", "initializer"):
            for thing in getattr(part, kind):
                if hasattr(thing, "metadata_props"):
                    del thing.metadata_props[:]
                if hasattr(thing, "doc_string"):
                    thing.ClearField("doc_string")


@contextmanager
def _quiet() -> Iterator[None]:
    """No notes of torch's exporter."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
