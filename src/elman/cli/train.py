"""`elman train`: from a file to a run directory, one command a task."""

import typer

from elman.cli.train_classify import classify
from elman.cli.train_forecast import forecast
from elman.cli.train_generate import generate

app = typer.Typer(help="Train a model on a file.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def train() -> None:
    """Train a model on a file."""


app.command()(classify)
app.command()(generate)
app.command()(forecast)
