"""`elman info`: versions, devices, threads, and which backend serves; or what a model is."""

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.console import line

_PACKAGES = (
    "torch", "numpy", "safetensors", "onnx", "onnxscript", "onnxruntime", "cuda-bindings", "triton",
)  # fmt: skip


def info(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="A run directory, or an exported .onnx file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Versions, devices, threads, and which backend serves the recurrence, and why.

    With DIR: what that model is, what it learned from and how good it is.
    """
    facts = collect() if run is None else of_model(run)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    for name, fact in facts.items():
        if isinstance(fact, dict):
            for key, text in fact.items():
                line(name, f"{key}: {text}")
        elif fact is not None:
            line(name, str(fact))


def of_model(run: Path) -> dict[str, Any]:
    """The facts of a trained model, by name; None for those it was not told."""
    from elman.tasks import load

    model = load(run)
    about = model.about
    return {
        "task": model.task,
        "network": model.describe(),
        "classes": list(map(str, getattr(model, "classes_", []))) or None,
        "settings": model.settings_.model_dump(),
        "columns": about.columns,
        "data": None if about.data is None else about.data.model_dump(),
        "held out": None if about.held_out is None else about.held_out.model_dump(),
        "command": about.command,
    }


def collect() -> dict[str, Any]:
    """The facts, by name."""
    import torch

    import elman
    from elman.ops import BACKENDS, cpu, select

    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    serving = {}
    for device in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]:
        choice = select(torch.device(device), torch.float32)
        serving[device] = f"{choice.backend} ({choice.reason})"
    return {
        "elman": elman.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PACKAGES},
        "devices": ", ".join(devices),
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "kernels": cpu.problem() or f"compiled, {cpu.instruction_set()} instructions",
        "backends": dict(BACKENDS),
        "serving": serving,
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
