"""`elman predict`: the answers of a trained model beside the rows of a file."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from elman.cli.options import Encoding, RunDir, TextColumn


def predict(
    run: RunDir,
    file: Annotated[Path, typer.Argument(metavar="INPUT", help="A .csv, .tsv or .jsonl file.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A CSV file, in UTF-8. [default: print it]"),
    ] = None,
    text: TextColumn = None,
    encoding: Encoding = "utf-8",
) -> None:
    """Label the texts of a file: its columns, the answer, and each class's probability."""
    from elman.data import read_table
    from elman.data.table import write_csv
    from elman.errors import DataError
    from elman.tasks import Classifier
    from elman.tasks.classify import predicted_rows, text_column

    model = Classifier.load(run)
    table = read_table(file, encoding)
    columns, rows = predicted_rows(model, table, text_column(model, text))
    if output is None:
        write_csv(sys.stdout, columns, rows)
        return
    partial = output.with_name(f".{output.name}.partial-{os.getpid()}")
    try:
        if output.exists() and output.samefile(file):
            raise DataError(f"{output}: is the input itself; choose another name for -o")
        if output.exists() and not output.is_file() and not output.is_dir():
            with output.open("w", encoding="utf-8", newline="") as stream:  # a pipe, a device
                write_csv(stream, columns, rows)
            return
        with partial.open("w", encoding="utf-8", newline="") as stream:
            write_csv(stream, columns, rows)
        partial.replace(output)  # whole or not at all
    except OSError as error:
        raise DataError(f"{output}: cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    print(f"{len(table.rows)} rows with their answers in {output}", file=sys.stderr)
