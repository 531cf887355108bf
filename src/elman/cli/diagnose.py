"""`elman diagnose`: gradients, units and memory of a trained network."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli import options
from elman.cli.console import line

if TYPE_CHECKING:
    from elman.view.diagnosis.result import Diagnosis

_WRITTEN = 500  # tokens that a generator writes where it is given no text


def diagnose(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="A file of the kind the model learned from."),
    ] = None,
    text: options.TextColumn = None,
    sequence: options.SequenceColumn = None,
    id: options.IdColumn = None,  # noqa: A002
    time: options.TimeColumn = None,
    values: options.ValueColumns = None,
    label: options.LabelColumn = None,
    encoder: options.EncoderPlace = None,
    encoding: options.Encoding = "utf-8",
    first: Annotated[
        int, typer.Option(min=1, help="Read so many rows, or characters of a text, from the top.")
    ] = 1000,
    exponents: Annotated[int, typer.Option(min=1, help="Lyapunov exponents, at most.")] = 32,
    ahead: Annotated[
        int, typer.Option(min=1, help="Steps to look ahead for the memory horizon.")
    ] = 100,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png|svg|pdf", help='Draw it (extra "plot").'),
    ] = None,
    threads: options.Threads = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Where gradients go, which units are used, how long the network remembers.

    Of every layer and direction, as it reads DATA: spectral radius, gradient flow, saturated and
    dead units, the largest Lyapunov exponent, the memory horizon. Without DATA a generator reads
    what it writes itself; of the others there is the spectral radius alone.
    """
    import torch

    from elman.errors import RunDirectoryError, SettingError
    from elman.tasks import load
    from elman.view.diagnose import diagnose

    if plot is not None:
        _check_plot(plot)
    torch.set_num_threads(threads)
    model: Any = load(run)
    asked = {
        "text": text, "sequence": sequence, "id": id, "time": time, "values": values,
        "label": label, "encoder": encoder,
    }  # fmt: skip
    batch, targets, what = _batch(model, file, asked, encoding, first)
    if plot is not None and batch is None:
        raise SettingError("--plot: there are only weights to draw from; give DATA")
    try:
        found = diagnose(model, batch, targets, exponents=exponents, ahead=ahead)
    except ValueError as error:
        raise RunDirectoryError(f"{run}: {error}") from None
    if as_json:
        facts = {"run": str(run), "read": what, **found.as_dict()}
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    else:
        _tell(model, found, what)
    if plot is not None:
        _draw(found, plot, quiet=as_json)


def _batch(
    model: Any, file: Path | None, asked: dict[str, Any], encoding: str, first: int
) -> tuple[Any, Any, str | None]:
    """What to read, the labels, and what that is in words."""
    from elman.data import read_series, read_table, read_text
    from elman.tasks import Classifier, Generator
    from elman.tasks.classify.files import Columns, read_inputs

    if not isinstance(model, Classifier):
        kept = {"time"} if model.task == "forecast" else set()
        options.refuse(model.task, {k: None if k in kept else v for k, v in asked.items()})
    if file is None:
        if not isinstance(model, Generator):
            return None, None, None
        written = model.generate("", _WRITTEN, temperature=1.0, seed=0)
        return written, None, f"{len(written)} characters that it wrote itself (seed 0)"
    if isinstance(model, Generator):
        read = read_text(file, encoding).text[:first]
        return read, None, f"the first {len(read)} characters of {file}"
    if not isinstance(model, Classifier):
        time = asked["time"] or str(model.about.columns.get("time") or "") or None
        series = read_series(read_table(file, encoding), model.columns_, time)
        rows = series.values[:first]
        return rows, None, f"the first {len(rows)} rows of {file}"
    if asked["encoder"] is not None:
        model.use_encoder(asked["encoder"])
    columns = Columns.of(model, **{k: v for k, v in asked.items() if k != "encoder"})
    units, inputs = read_inputs(read_table(file, encoding), columns)
    labels = None
    if columns.label is not None and columns.label in units.columns:
        labels = units.column(columns.label)[:first]
    inputs = inputs[:first]
    loss = "against their labels" if labels is not None else "against its own answers"
    return inputs, labels, f"the first {len(inputs)} rows of {file}, {loss}"


def _tell(model: Any, found: "Diagnosis", what: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from elman.view.diagnosis.definitions import DEFINITIONS

    line("network", model.describe())
    if what is not None:
        line("read", what)
        line("loss", f"{found.loss:.4f}")
    table = Table("measure", "unit", *(layer.name for layer in found.layers))
    rows = found.table()
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False)
    console.print(table)
    shown = {row[0] for row in rows}
    for definition in DEFINITIONS.values():
        if definition.name in shown:
            print(f"  {definition.name}: {definition.meaning}.")
            print(f"      {definition.source}")
    if what is None:
        line("next", "give DATA for the rest: elman diagnose DIR DATA")


def _check_plot(path: Path) -> None:
    """Refuse before the work begins what could not be written after it."""
    from elman.errors import SettingError

    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise SettingError(f"--plot: {path} should end with .png, .svg or .pdf")
    if path.exists():
        raise SettingError(f"--plot: {path} is there already; choose another name")
    if not path.parent.is_dir():
        raise SettingError(f"--plot: there is no folder {path.parent}; make it first")


def _draw(found: "Diagnosis", path: Path, quiet: bool) -> None:
    from elman.data.places import partial_place
    from elman.errors import SettingError
    from elman.view.plots import plot_diagnosis

    figure = plot_diagnosis(found)
    partial = partial_place(path)
    try:
        figure.savefig(partial, format=path.suffix[1:].lower(), dpi=160)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SettingError(f"--plot: {path} cannot be written: {error.strerror}") from None
    if not quiet:
        line("drawn", str(path))
