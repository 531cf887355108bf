"""`elman evaluate`: how good a trained model is on a labelled file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from elman.cli.options import Encoding, RunDir, TextColumn


def evaluate(
    run: RunDir,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A labelled .csv, .tsv or .jsonl file.")
    ],
    text: TextColumn = None,
    label: Annotated[
        str | None, typer.Option(help="Column of the labels. [default: as in training]")
    ] = None,
    encoding: Encoding = "utf-8",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Accuracy beside the baseline, precision, recall, F1, and the confusion matrix."""
    from elman.cli.console import line, print_report
    from elman.data import read_table
    from elman.tasks import Classifier
    from elman.tasks.classify import (
        Columns,
        evaluate_on_table,
        label_column,
        text_column,
    )

    model = Classifier.load(run)
    table = read_table(file, encoding)
    columns = Columns(text_column(model, text), label_column(model, label))
    report = evaluate_on_table(model, table, columns)
    learned_from = model.about.data is not None and model.about.data.sha256 == table.sha256
    if as_json:
        print(json.dumps({**report.as_dict(), "learned_from": learned_from}, ensure_ascii=False))
        return
    print_report(report)
    if learned_from and model.about.held_out:
        line("beware", "the model learned from most of these rows, so this flatters it;")
        line(
            "",
            f"on the {model.about.held_out.rows} it never saw: {model.about.held_out.accuracy:.3f}",
        )
