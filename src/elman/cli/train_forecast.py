"""`elman train forecast`: from a table of series to a run directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elman.cli import options
from elman.cli.console import line, print_evaluation
from elman.cli.training import Place, training
from elman.errors import SettingError

if TYPE_CHECKING:
    from elman.data import Series
    from elman.tasks import Forecaster
    from elman.tasks.forecast.files import Outcome


def forecast(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv, .tsv or .jsonl file.")],
    target: Annotated[
        list[str], typer.Option(metavar="COL...", help="Columns to forecast; may be repeated.")
    ],
    time: Annotated[
        str | None,
        typer.Option(metavar="COL", help="When each row was: checked for gaps. [default: none]"),
    ] = None,
    horizon: Annotated[int, typer.Option(min=1, help="How many steps to forecast.")] = 10,
    season: Annotated[
        int | None,
        typer.Option(min=1, help="Steps after which it repeats; 1 for never. [default: found]"),
    ] = None,
    out: options.Out = None,
    resume: options.Resume = False,
    log: options.Log = None,
    hold_out: options.HoldOut = 0.2,
    encoding: options.Encoding = "utf-8",
    coverage: Annotated[
        float, typer.Option(help="Share of the values that should lie in their interval.")
    ] = 0.9,
    hidden_size: options.HiddenSize = 32,
    num_layers: options.NumLayers = 1,
    nonlinearity: options.Nonlinearity = "tanh",
    leak: options.Leak = 1.0,
    zoneout: options.Zoneout = 0.0,
    recurrent_dropout: options.RecurrentDropout = 0.0,
    layer_norm: options.LayerNorm = False,
    bidirectional: options.Forward = False,
    dropout: options.Dropout = 0.0,
    init: options.Init = "orthogonal",
    chunk: options.Chunk = 32,
    epochs: options.Epochs = 300,
    batch_size: options.BatchSize = 32,
    lr: options.LearningRate = 0.003,
    clip: options.Clip = 1.0,
    patience: options.Patience = 30,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    deterministic: options.Deterministic = False,
) -> None:
    """Learn how series go on.

    The last fifth of the rows is held out to judge the model, and of the rest the last 15 in 100
    to tell when to stop; rows are never shuffled, and what is judged on is never learned from.
    """
    from elman.data import read_series, read_table
    from elman.tasks import Forecaster

    if bidirectional:
        raise SettingError("bidirectional: who looks ahead cannot read from the end; leave it out")
    model = Forecaster(
        horizon=horizon,
        season=season,
        hidden_size=hidden_size,
        num_layers=num_layers,
        nonlinearity=nonlinearity,
        leak=leak,
        zoneout=zoneout,
        recurrent_dropout=recurrent_dropout,
        layer_norm=layer_norm,
        dropout=dropout,
        init=init,
        chunk=chunk,
        coverage=coverage,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        clip=clip,
        patience=patience,
        random_state=seed,
        device=device,
    )
    place = Place(out or Path("runs") / file.stem, resume, device, threads, deterministic, log=log)
    run_forecaster(model, read_series(read_table(file, encoding), target, time), hold_out, place)


def run_forecaster(
    model: "Forecaster", series: "Series", hold_out: float, place: Place
) -> "Outcome":
    """Train on a series into a run directory, and tell of it on the way."""
    from elman.tasks.forecast.files import train_on_series

    with training(place) as under_way:
        line("data", f"{len(series.values)} rows of {series.path}: {', '.join(series.columns)}")
        with under_way.listening() as listening:
            outcome = train_on_series(model, series, hold_out, **listening)
        under_way.finish(model)
    under_way.tell(model, "")
    seasons = dict(zip(model.columns_, model.frame_.seasons, strict=True))
    line(
        "season",
        ", ".join(
            f"{m} steps ({name})" if m > 1 else f"none ({name})" for name, m in seasons.items()
        ),
    )
    line("learned", f"from {outcome.seen}, the last of them to tell when to stop")
    line("held out", f"{outcome.unseen}, never learned from")
    print_evaluation(outcome.evaluation, model.columns_, model.frame_.seasons)
    under_way.end()
    return outcome
