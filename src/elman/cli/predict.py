"""`elman predict`: the answers of a trained model beside the rows of a file, or of many."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from elman.cli import console, options
from elman.errors import DataError, RunDirectoryError, SettingError

if TYPE_CHECKING:
    from elman.data import Table


@dataclass(frozen=True)
class Answerer:
    """What a model says of files.

    Attributes:
        added: the names of the answers.
        blocks: from a file to blocks of its rows, each with the answers to them.
        form: of the answers that are numbers.
    """

    added: list[str]
    blocks: "Callable[[Path], Iterator[tuple[Table, list[list[Any]]]]]"
    form: str


def predict(
    run: options.RunDir,
    input: Annotated[  # noqa: A002
        Path,
        typer.Argument(metavar="INPUT", help="A .csv, .tsv or .jsonl file, or a folder of them."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="A .csv, .tsv or .jsonl file; for a folder, a folder. [default: print]",
        ),
    ] = None,
    text: options.TextColumn = None,
    sequence: options.SequenceColumn = None,
    id: options.IdColumn = None,  # noqa: A002
    time: options.TimeColumn = None,
    values: options.ValueColumns = None,
    encoder: options.EncoderPlace = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="How far to forecast. [default: as in training]")
    ] = None,
    encoding: options.Encoding = "utf-8",
    threads: options.Threads = 1,
) -> None:
    """Answer for every row of a file: the label and each class's probability.

    Of a forecaster's run: the forecast that follows the rows, with its interval. Columns are
    those of the training unless said otherwise. Large files are read a block at a time.
    """  # fmt: skip
    import torch

    from elman.data import files_in
    from elman.tasks import Classifier, Forecaster, load

    torch.set_num_threads(threads)
    model = load(run)
    asked = {"text": text, "sequence": sequence, "id": id, "time": time, "values": values}
    if isinstance(model, Classifier):
        options.refuse(model.task, {"steps": steps})
        answerer = _classifying(model, asked, encoder, encoding)
    elif isinstance(model, Forecaster):
        options.refuse(model.task, asked | {"encoder": encoder, "time": None})
        answerer = _forecasting(model, time, steps, encoding)
    else:
        raise RunDirectoryError(
            f"{run}: a run of the task {model.task!r}, which writes text; use elman generate"
        )
    if not input.is_dir():
        rows = _write_one(input, output, answerer)
        if output is not None:
            print(f"{rows} rows with their answers in {output}", file=sys.stderr)
        return
    if output is None:
        raise SettingError(f"{input}: is a folder; say with -o which folder the answers go to")
    _write_folder(files_in(input), input, output, answerer)


def _classifying(model: Any, asked: dict[str, Any], encoder: str | None, encoding: str) -> Answerer:
    from elman.data import read_blocks, read_table
    from elman.tasks.classify.files import Columns, answer_columns, answers

    columns = Columns.of(model, **asked)
    if encoder is not None:
        model.use_encoder(encoder)

    def blocks(file: Path) -> "Iterator[tuple[Table, list[list[Any]]]]":
        whole = columns.id is not None  # steps of a sequence may stand anywhere in the file
        for table in [read_table(file, encoding)] if whole else read_blocks(file, encoding):
            yield answers(model, table, columns)

    return Answerer(answer_columns(model), blocks, ".6f")


def _forecasting(model: Any, time: str | None, steps: int | None, encoding: str) -> Answerer:
    from elman.data import read_series, read_table
    from elman.tasks.forecast.files import answer_columns, answers

    horizon = model.settings_.horizon
    if steps is not None and steps > horizon:
        raise SettingError(
            f"--steps {steps}: this model forecasts {horizon} steps; train one with --horizon "
            f"{steps}"
        )
    time = time or model.about.columns.get("time")

    def blocks(file: Path) -> "Iterator[tuple[Table, list[list[Any]]]]":
        table = read_table(file, encoding)
        yield answers(model, table, read_series(table, model.columns_, time), steps or horizon)

    return Answerer(answer_columns(model.columns_), blocks, ".9g")


def _write_one(source: Path, output: Path | None, answerer: Answerer) -> int:
    """Write the answers to one file; how many there are."""
    from elman.data import kind_of, open_output

    found = answerer.blocks(source)
    first = next(found)  # what is wrong with the input shows before an output is begun
    if output is None:
        return _write_rows(sys.stdout, kind_of(source), first, found, answerer)
    kind = kind_of(output) if output.suffix else kind_of(source)

    def kept(aside: Path) -> None:
        place = aside if output.is_symlink() else output.with_name(aside.name)
        print(f"the file that was there is now {place}", file=sys.stderr)

    with open_output(output, [source], kept) as stream:
        return _write_rows(stream, kind, first, found, answerer)


def _write_rows(stream: TextIO, kind: Any, first: Any, rest: Any, of: Answerer) -> int:
    from itertools import chain

    from elman.data import row_writer

    writer = row_writer(stream, kind, first[0].columns, of.added, first[0].path, of.form)
    rows = 0
    for table, of_table in chain([first], rest):
        writer.write(table, of_table)
        rows += len(of_table)
    return rows


def _write_folder(
    files: list[Path],
    source: Path,
    output: Path,
    answerer: Answerer,
) -> None:
    """Write the answers to each file under its name; one that cannot be read stops no other."""
    from elman.data.kinds import passed_over

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{output}: cannot be written: {error.strerror}") from None
    if output.samefile(source):
        raise DataError(f"{output}: is the input folder itself; choose another for -o")
    if others := passed_over(source):
        names = ", ".join(path.name for path in others[:3]) + (", ..." if len(others) > 3 else "")
        print(f"passed over, not .csv, .tsv or .jsonl: {names}", file=sys.stderr)
    done = 0
    for file in files:
        try:
            rows = _write_one(file, output / file.name, answerer)
        except DataError as error:
            console.complain(error)
            continue
        done += 1
        print(f"{rows} rows with their answers in {output / file.name}", file=sys.stderr)
    if done < len(files):
        raise DataError(f"{len(files) - done} of {len(files)} files could not be answered for")
