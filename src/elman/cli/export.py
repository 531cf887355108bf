"""`elman export`: a trained model as one ONNX file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli import options
from elman.cli.console import line

if TYPE_CHECKING:
    from elman.tasks.onnx.export import Exported


def export(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.onnx", help="The file. [default: DIR.onnx]"),
    ] = None,
    threads: options.Threads = 1,
) -> None:
    """Write a model as one ONNX file, for elman and for any other program with ONNX Runtime.

    Vocabulary, scaling and settings are in its metadata. Before it is put in its place, ONNX
    Runtime's answers are compared with torch's. `elman predict`, `generate` and `evaluate` take
    it in the place of DIR. An older file of that name is moved aside. Needs the extra "onnx".
    """
    import torch

    from elman.tasks import load

    torch.set_num_threads(threads)
    model = load(run)
    beside = run if run.name not in ("", "..") else run.resolve()
    path = beside.with_name(f"{beside.name}.onnx") if output is None else output
    _tell(model, model.to_onnx(path))


def _tell(model: Any, done: "Exported") -> None:
    line("network", model.describe())
    for label, ports in (("input", done.ports.inputs), ("output", done.ports.outputs)):
        for k, port in enumerate(ports):
            line("" if k else label, str(port))
    line("", "N rows and L steps: any numbers from 1 on")
    checked = done.checked
    line(
        "checked",
        f"ONNX Runtime {done.runtime} is at most {checked.largest:.1e} from torch, over "
        f"{checked.rows} rows of 1 to {checked.steps} steps",
    )
    if done.moved_aside:
        line("moved", f"the file that was there is now {done.moved_aside}")
    size = f"{done.size / 1e6:.1f} MB" if done.size >= 1e6 else f"{done.size / 1e3:.0f} kB"
    line("unchanged" if done.unchanged else "saved", f"{done.path}, {size}, opset {done.opset}")
    command = "generate" if model.task == "generate" else "predict"
    line("next", f"elman {command} {done.path}{_NEXT[model.task]}")


_NEXT = {"classify": " FILE.csv", "forecast": " FILE.csv", "generate": " --prompt TEXT"}
