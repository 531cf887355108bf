"""`elman evaluate`: how good a trained model is on a file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli import options
from elman.cli.console import line, print_evaluation, print_judgement, print_report

if TYPE_CHECKING:
    from elman.tasks import Classifier, Forecaster, Generator
    from elman.tasks.task import Task


def evaluate(
    run: options.RunDir,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file of the kind the model learned from.")
    ],
    text: options.TextColumn = None,
    sequence: options.SequenceColumn = None,
    id: options.IdColumn = None,  # noqa: A002
    time: options.TimeColumn = None,
    values: options.ValueColumns = None,
    label: options.LabelColumn = None,
    encoder: options.EncoderPlace = None,
    encoding: options.Encoding = "utf-8",
    threads: options.Threads = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Judge a model on a file, beside a baseline. Columns are those of the training.

    A classifier: accuracy, precision, recall, F1, and the confusion matrix. A generator: bits per
    character and perplexity. A forecaster: MAE, MASE, and the skill against naive and
    seasonal-naive from a rolling origin.
    """
    import torch

    from elman.tasks import Classifier, Generator, load

    torch.set_num_threads(threads)
    model: Any = load(run)
    asked = {
        "text": text, "sequence": sequence, "id": id, "time": time, "values": values,
        "label": label,
    }  # fmt: skip
    if isinstance(model, Classifier):
        _classifier(model, file, asked, encoder, encoding, as_json)
    elif isinstance(model, Generator):
        options.refuse(model.task, asked | {"encoder": encoder})
        _generator(model, file, encoding, as_json)
    else:
        options.refuse(model.task, asked | {"encoder": encoder, "time": None})
        _forecaster(model, file, time, encoding, as_json)


def _classifier(
    model: "Classifier",
    file: Path,
    asked: dict[str, Any],
    encoder: str | None,
    encoding: str,
    as_json: bool,
) -> None:
    from elman.data import read_table
    from elman.tasks.classify.files import Columns, evaluate_on_table

    columns = Columns.of(model, **asked)
    if encoder is not None:
        model.use_encoder(encoder)
    table = read_table(file, encoding)
    report = evaluate_on_table(model, table, columns)
    learned_from = _learned_from(model, table.sha256)
    if as_json:
        print(json.dumps({**report.as_dict(), "learned_from": learned_from}, ensure_ascii=False))
        return
    print_report(report)
    if learned_from:
        line("beware", "the model learned from most of these rows, so this flatters it;")
        _tell_held_out(model, "accuracy", ".3f")


def _generator(model: "Generator", file: Path, encoding: str, as_json: bool) -> None:
    from elman.data import read_text

    text = read_text(file, encoding)
    judgement = model.judge(text.text)
    learned_from = _learned_from(model, text.sha256)
    if as_json:
        figures = {**vars(judgement), "learned_from": learned_from}
        print(json.dumps(figures, ensure_ascii=False))
        return
    print_judgement(judgement)
    if learned_from:
        line("beware", "the model learned from most of this text, so this flatters it;")
        _tell_held_out(model, "bits_per_character", ".3f")


def _forecaster(
    model: "Forecaster", file: Path, time: str | None, encoding: str, as_json: bool
) -> None:
    from elman.data import read_series, read_table
    from elman.tasks.forecast.files import evaluate_on_series, rows_in_words

    time = time or str(model.about.columns.get("time") or "") or None
    series = read_series(read_table(file, encoding), model.columns_, time)
    evaluation = evaluate_on_series(model, series)
    seen = model.learned_.rows if model.has_learned(series.values) else 0
    if as_json:
        print(json.dumps({**evaluation.as_dict(), "rows_learned_from": seen}, ensure_ascii=False))
        return
    if seen:
        line("learned", f"from {rows_in_words(series, 0, seen)}: these are not judged")
    if model.may_have_learned(series.values):
        line("beware", "it begins like the series learned from, so the model may know these rows")
    judged = rows_in_words(series, evaluation.first + 1, len(series.values))
    line("judged", f"{judged}, as they follow an origin")
    print_evaluation(evaluation, model.columns_, model.frame_.seasons)


def _learned_from(model: "Task", sha256: str) -> bool:
    return model.about.data is not None and model.about.data.sha256 == sha256


def _tell_held_out(model: "Task", name: str, form: str) -> None:
    held_out = model.about.held_out
    if held_out and (figure := held_out.figure(name)) is not None:
        line("", f"on the {held_out.rows} it never saw: {figure:{form}}")
