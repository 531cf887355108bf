"""`elman train generate`: from a text to a run directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elman.cli import options
from elman.cli.console import line, print_judgement
from elman.cli.training import Place, training
from elman.errors import SettingError

if TYPE_CHECKING:
    from elman.data import Text
    from elman.tasks import Generator
    from elman.tasks.generate.generator import Judgement


def generate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A text file.")],
    level: options.Level = "char",
    max_vocab: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Know so many of the commonest tokens. [default: all characters up to 20000; "
            "10000 words]",
        ),
    ] = None,
    out: options.Out = None,
    resume: options.Resume = False,
    log: options.Log = None,
    hold_out: options.HoldOut = 0.1,
    encoding: options.Encoding = "utf-8",
    embedding_size: options.EmbeddingSize = 128,
    hidden_size: options.HiddenSize = 192,
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
    epochs: options.Epochs = 10,
    batch_size: options.BatchSize = 32,
    lr: options.LearningRate = 0.006,
    clip: options.Clip = 1.0,
    patience: options.Patience = 3,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    deterministic: options.Deterministic = False,
) -> None:
    """Learn to write like a text.

    The last tenth of the text is held out to judge the model, and of the rest the last twentieth
    to tell when to stop; what is judged on is never learned from.
    """
    from elman.data import read_text
    from elman.tasks import Generator

    if bidirectional:
        raise SettingError("bidirectional: who writes on cannot read from the end; leave it out")
    model = Generator(
        level=level,
        max_vocab=max_vocab,
        embedding_size=embedding_size,
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
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        clip=clip,
        patience=patience,
        random_state=seed,
        device=device,
    )
    place = Place(out or Path("runs") / file.stem, resume, device, threads, deterministic, log=log)
    run_generator(model, read_text(file, encoding), hold_out, place)


def run_generator(model: "Generator", text: "Text", hold_out: float, place: Place) -> "Judgement":
    """Train on a text into a run directory, and tell of it on the way."""
    from elman.tasks.generate.files import train_on_text

    with training(place) as under_way:
        line("data", f"{len(text.text):,} characters of {text.path}")
        with under_way.listening() as listening:
            judgement = train_on_text(model, text, hold_out, **listening)
        under_way.finish(model)
    under_way.tell(model, f" → {len(model.vocabulary_)} tokens")
    line("held out", "the end of the text, never learned from")
    print_judgement(judgement)
    under_way.end()
    return judgement
