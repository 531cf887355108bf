"""`elman train classify`: from labelled texts or sequences to a run directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elman.cli import options
from elman.cli.console import line, print_classes
from elman.cli.training import Place, training

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks import Classifier
    from elman.tasks.classify.files import Columns, Outcome


def classify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .csv, .tsv or .jsonl file with labels.")
    ],
    label: Annotated[str, typer.Option(metavar="COL", help="Column of the labels.")],
    text: options.TextColumn = None,
    sequence: options.SequenceColumn = None,
    id: options.IdColumn = None,  # noqa: A002
    time: options.TimeColumn = None,
    values: options.ValueColumns = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Rows with an equal value are held out together."),
    ] = None,
    level: options.Level = "char",
    encoder: options.EncoderPlace = None,
    out: options.Out = None,
    resume: options.Resume = False,
    log: options.Log = None,
    hold_out: options.HoldOut = 0.2,
    encoding: options.Encoding = "utf-8",
    embedding_size: options.EmbeddingSize = 64,
    hidden_size: options.HiddenSize = 128,
    num_layers: options.NumLayers = 1,
    nonlinearity: options.Nonlinearity = "tanh",
    leak: options.Leak = 1.0,
    zoneout: options.Zoneout = 0.0,
    recurrent_dropout: options.RecurrentDropout = 0.0,
    layer_norm: options.LayerNorm = False,
    bidirectional: Annotated[
        bool, typer.Option("--bidirectional", help="Read from the end too.")
    ] = False,
    dropout: options.Dropout = 0.5,
    init: options.Init = "orthogonal",
    epochs: options.Epochs = 60,
    batch_size: options.BatchSize = 64,
    lr: options.LearningRate = 0.002,
    clip: options.Clip = 1.0,
    patience: options.Patience = 8,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    deterministic: options.Deterministic = False,
) -> None:
    """Learn to label texts, or sequences of numbers.

    What to read is one of --text, --sequence, or --id with --time and --values. Of the file's
    groups a share is held out to judge the model, and of the rest a tenth to tell when to stop;
    what is judged on is never learned from.
    """
    from elman.data import read_table
    from elman.tasks import Classifier
    from elman.tasks.classify.files import Columns

    columns = Columns(text, label, group, sequence, id, time, tuple(values or ()))
    model = Classifier(
        level=level,
        encoder=encoder,
        embedding_size=embedding_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        nonlinearity=nonlinearity,
        leak=leak,
        zoneout=zoneout,
        recurrent_dropout=recurrent_dropout,
        layer_norm=layer_norm,
        bidirectional=bidirectional,
        dropout=dropout,
        init=init,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        clip=clip,
        patience=patience,
        random_state=seed,
        device=device,
    )
    place = Place(out or Path("runs") / file.stem, resume, device, threads, deterministic, log=log)
    run_classifier(model, read_table(file, encoding), columns, hold_out, place)


def run_classifier(
    model: "Classifier", table: "Table", columns: "Columns", hold_out: float, place: Place
) -> "Outcome":
    """Train on a table into a run directory, and tell of it on the way."""
    from elman.tasks.classify.files import read_inputs, train_on_table

    with training(place) as under_way:
        line("data", f"{len(table.rows)} rows of {table.path}")
        units = table if columns.id is None else read_inputs(table, columns)[0]
        print_classes(units.column(columns.label or ""))
        with under_way.listening() as listening:
            outcome = train_on_table(model, table, columns, hold_out, **listening)
        under_way.finish(model)
    under_way.tell(model, f" → {len(model.classes_)} classes")
    result = outcome.report
    line("accuracy", f"{result.accuracy:.3f} on {result.rows} rows held out, never learned from")
    line("baseline", f"{result.majority:.3f} by always answering the commonest class")
    under_way.end()
    return outcome
