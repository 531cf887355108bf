"""`elman view`: a trained network at work on one input, as a page to step through."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli import options
from elman.cli.console import line
from elman.errors import DataError, RunDirectoryError, SettingError

if TYPE_CHECKING:
    from elman.tasks import Classifier, Forecaster, Generator
    from elman.tasks.newfile import NewFile
    from elman.view.reading import Reading
    from elman.view.show import View

_NEEDED = {
    "classify": "say what it should read: --input TEXT (or a JSON array of numbers), or FILE with "
    "--row N",
    "generate": "say what it should read: --input TEXT, or FILE",
    "forecast": "say which series it should go on with: FILE, or --input with a JSON array of "
    "numbers",
}


def view(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="What to read, in place of --input."),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option("--input", metavar="TEXT", help="A text; or numbers, as a JSON array."),
    ] = None,
    row: Annotated[
        int | None, typer.Option(min=1, help="Of a table to classify: which row. [default: 1]")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PAGE.html", help="[default: DIR.html]"),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, max=1000, help="How many of the last steps are shown.")
    ] = 100,
    text: options.TextColumn = None,
    sequence: options.SequenceColumn = None,
    id: options.IdColumn = None,  # noqa: A002
    time: options.TimeColumn = None,
    values: options.ValueColumns = None,
    encoder: options.EncoderPlace = None,
    encoding: options.Encoding = "utf-8",
    threads: options.Threads = 1,
) -> None:
    """See inside: what the network does with one input, step by step, as one HTML page.

    Of a classifier the input is a text, or a sequence of numbers; of a generator the text it goes
    on with; of a forecaster the series, whose last rows are shown. The page holds the run's own
    numbers, and opens in any browser without a network. An older file of that name is moved aside.
    """
    import torch

    from elman.tasks import Classifier, Forecaster, load
    from elman.view.show import NO_INSIDE, view_reading

    if run.suffix.lower() == ".onnx" and not run.is_dir():
        raise RunDirectoryError(f"{run}: {NO_INSIDE}")
    torch.set_num_threads(threads)
    model: Any = load(run)
    if (given is None) == (file is None):
        both = "" if file is None else "--input and FILE are two inputs; "
        raise SettingError(both + _NEEDED[model.task])
    asked = {"text": text, "sequence": sequence, "id": id, "values": values}
    if isinstance(model, Classifier):
        columns = asked | {"time": time}
        reading, title = _classifying(model, file, given, row, columns, encoder, encoding)
    else:
        options.refuse(model.task, asked | {"encoder": encoder, "row": row})
        if isinstance(model, Forecaster):
            reading, title = _forecasting(model, file, given, time, encoding)
        else:
            options.refuse(model.task, {"time": time})
            reading, title = _generating(model, file, given, encoding)
    page = view_reading(reading, steps, title)
    beside = run if run.name not in ("", "..") else run.resolve()
    path = beside.with_name(f"{beside.name}.html") if output is None else output
    _tell(model, page, page.save(path))


def _tell(model: Any, page: "View", saved: "NewFile") -> None:
    line("network", model.describe())
    shown, length = page.trace.shown, len(page.trace.reading.steps)
    part = "" if shown.start == 0 else f", the last {shown.stop - shown.start} of them on the page"
    line("read", f"{length} step{'s' if length > 1 else ''}{part}")
    if saved.moved_aside:
        line("moved", f"the file that was there is now {saved.moved_aside}")
    size = f"{len(page.html.encode()) / 1e3:.0f} kB"
    line(
        "unchanged" if saved.unchanged else "saved", f"{saved.target}, {size}: open it in a browser"
    )


def _classifying(
    model: "Classifier",
    file: Path | None,
    given: str | None,
    row: int | None,
    asked: dict[str, Any],
    encoder: str | None,
    encoding: str,
) -> "tuple[Reading, str]":
    from elman.tasks.classify.readers import NumberReader
    from elman.view.show import task_reading

    if encoder is not None:
        model.use_encoder(encoder)
    if file is None:
        assert given is not None
        options.refuse_without_file({**asked, "row": row})
        value = _numbers(given) if isinstance(model.reader_, NumberReader) else given
        title = given
    else:
        value, title = _of_table(model, file, row or 1, asked, encoding)
    return task_reading(model, value), title


def _of_table(
    model: "Classifier", file: Path, row: int, asked: dict[str, Any], encoding: str
) -> tuple[Any, str]:
    from elman.data import read_table
    from elman.tasks.classify.files import Columns, read_inputs

    table = read_table(file, encoding)
    units, inputs = read_inputs(table, Columns.of(model, **asked))
    if row > len(inputs):
        raise DataError(f"{file}: has {len(inputs)} inputs; --row should be from 1 to that")
    value = inputs[row - 1]
    if isinstance(value, str):
        return value, value
    name = units.rows[row - 1][0] if len(units.columns) else str(row)
    return value, f"{file.name}, {name if asked.get('id') else f'row {row}'}"


def _generating(
    model: "Generator", file: Path | None, given: str | None, encoding: str
) -> "tuple[Reading, str]":
    from elman.data import read_text
    from elman.tasks.generate.writing import check_request
    from elman.view.show import task_reading

    if file is not None:
        return task_reading(model, read_text(file, encoding).text), file.name
    assert given is not None
    check_request(given, 0, None)
    return task_reading(model, given), given or "⏎"


def _forecasting(
    model: "Forecaster", file: Path | None, given: str | None, time: str | None, encoding: str
) -> "tuple[Reading, str]":
    from elman.data import read_series, read_table
    from elman.view.show import task_reading

    if file is None:
        assert given is not None
        options.refuse_without_file({"time": time})
        return task_reading(model, _numbers(given)), ", ".join(model.columns_)
    time = time or str(model.about.columns.get("time") or "") or None
    series = read_series(read_table(file, encoding), model.columns_, time)
    return task_reading(model, series.values, series=series), file.name


def _numbers(given: str) -> Any:
    try:
        values = json.loads(given)
    except ValueError:
        values = None
    if not isinstance(values, list) or not values:
        raise DataError(
            f"--input: this model reads numbers; give a JSON array, [1, 2.5] or [[1, 2], [3, 4]], "
            f"got {given[:60]!r}"
        )
    return values
