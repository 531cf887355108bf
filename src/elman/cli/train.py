"""`elman train`: from a file to a run directory."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from elman.cli.console import line, print_classes, training_progress
from elman.cli.interrupt import one_interrupt
from elman.cli.options import Encoding

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks import Classifier
    from elman.tasks.classify import Columns, Outcome

app = typer.Typer(help="Train a model on a file.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def train() -> None:
    """Train a model on a file."""


@app.command()
def classify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .csv, .tsv or .jsonl file with labels.")
    ],
    text: Annotated[str, typer.Option(metavar="COL", help="Column of the texts.")],
    label: Annotated[str, typer.Option(metavar="COL", help="Column of the labels.")],
    group: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Rows with an equal value are held out together."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run directory. [default: runs/FILE]")
    ] = None,
    hold_out: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the groups to judge the model on.")
    ] = 0.2,
    encoding: Encoding = "utf-8",
    embedding_size: Annotated[int, typer.Option(min=1, help="Numbers a character is given.")] = 64,
    hidden_size: Annotated[int, typer.Option(min=1, help="Units of the RNN.")] = 128,
    num_layers: Annotated[int, typer.Option(min=1, help="Layers of the RNN.")] = 1,
    nonlinearity: Annotated[
        Literal["tanh", "relu", "identity"], typer.Option(help="Of the RNN.")
    ] = "tanh",
    bidirectional: Annotated[
        bool, typer.Option("--bidirectional", help="Read from the end too.")
    ] = False,
    dropout: Annotated[float, typer.Option(help="On embeddings and before the head.")] = 0.5,
    epochs: Annotated[int, typer.Option(min=1, help="The most passes over the data.")] = 60,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows in a step.")] = 64,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.004,
    clip: Annotated[float, typer.Option(help="The largest norm of the gradient.")] = 1.0,
    patience: Annotated[
        int, typer.Option(min=1, help="Epochs without progress before stopping.")
    ] = 8,
    threads: Annotated[
        int, typer.Option(min=1, help="CPU threads; a small network is no faster with more.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same numbers.")] = 0,
) -> None:
    """Learn to label texts, character by character.

    Of the file's groups a share is held out to judge the model, and of the rest a tenth to
    tell when to stop; what is judged on is never learned from.
    """
    import torch

    from elman.data import read_table
    from elman.tasks import Classifier
    from elman.tasks.classify import Columns

    model = Classifier(
        embedding_size=embedding_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        nonlinearity=nonlinearity,
        bidirectional=bidirectional,
        dropout=dropout,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        clip=clip,
        patience=patience,
        random_state=seed,
    )
    torch.set_num_threads(threads)
    out = out or Path("runs") / file.stem
    run_classifier(model, read_table(file, encoding), Columns(text, label, group), hold_out, out)


def run_classifier(
    model: "Classifier", table: "Table", columns: "Columns", hold_out: float, out: Path
) -> "Outcome":
    """Train on a table into a run directory, and tell of it on the way."""
    from elman.tasks.classify import train_on_table
    from elman.tasks.rundir import new_run

    with one_interrupt(), new_run(out) as run:
        line("data", f"{len(table.rows)} rows of {table.path}")
        print_classes(table.column(columns.label))
        with training_progress() as report:
            outcome = train_on_table(model, table, columns, hold_out, report)
        model.about.command = shlex.join(["elman", *sys.argv[1:]])
        model.write(run.staging)
    history, result = model.history_, outcome.report
    weights = sum(parameter.numel() for parameter in model.model_.parameters())
    line("network", f"{model.describe()}, {weights:,} weights")
    line("training", f"{len(history.records)} epochs; kept the weights of {history.best_epoch}")
    line("accuracy", f"{result.accuracy:.3f} on {result.rows} rows held out, never learned from")
    line("baseline", f"{result.majority:.3f} by always answering the commonest class")
    if run.moved_aside:
        line("moved", f"the run that was there is now {out.with_name(run.moved_aside.name)}")
    line("saved", str(out))
    if history.interrupted:
        print("interrupted: the best weights so far are saved", file=sys.stderr)
        raise typer.Exit(130)
    return outcome
