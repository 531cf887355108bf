"""Arguments that several commands share; the defaults stand in the commands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from elman.errors import SettingError

RunDir = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="A run directory, or an exported .onnx file."),
]
Encoding = Annotated[str, typer.Option(help="Of the file, for example gb18030.")]
TextColumn = Annotated[str | None, typer.Option("--text", metavar="COL", help="Column of texts.")]
SequenceColumn = Annotated[
    str | None,
    typer.Option("--sequence", metavar="COL", help="Column of JSON arrays of numbers."),
]
IdColumn = Annotated[
    str | None,
    typer.Option("--id", metavar="COL", help="Each row is one step: whose sequence it is in."),
]
TimeColumn = Annotated[
    str | None, typer.Option("--time", metavar="COL", help="When the step was: number or date.")
]
ValueColumns = Annotated[
    list[str] | None,
    typer.Option("--values", metavar="COL...", help="Numbers of the step; may be repeated."),
]
LabelColumn = Annotated[
    str | None, typer.Option("--label", metavar="COL", help="Column of the labels.")
]
EncoderPlace = Annotated[
    str | None,
    typer.Option("--encoder", metavar="DIR|HUB_ID", help="A BERT-like model to read texts with."),
]

Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="The run directory. [default: runs/FILE]")
]
Log = Annotated[
    Literal["tensorboard"] | None,
    typer.Option(
        help='Log each epoch to OUT.tensorboard as it goes (extra "tensorboard"). [default: none]'
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on with the training that lies in --out, if there is one."),
]
HoldOut = Annotated[
    float, typer.Option(min=0.01, max=0.9, help="Share of the data to judge the model on.")
]
HiddenSize = Annotated[int, typer.Option(min=1, help="Units of the RNN.")]
NumLayers = Annotated[int, typer.Option(min=1, help="Layers of the RNN.")]
Nonlinearity = Annotated[
    Literal[
        "tanh", "relu", "identity", "sigmoid", "hardtanh", "hardsigmoid", "leaky_relu", "elu",
        "selu", "softsign", "softplus",
    ],
    typer.Option(help="Of the RNN."),
]  # fmt: skip
Leak = Annotated[float, typer.Option(help="How much of a state is new at each step; 1: all.")]
Zoneout = Annotated[float, typer.Option(help="Share of the states kept at a training step.")]
RecurrentDropout = Annotated[
    float, typer.Option(help="Share of the units hidden from the others for a whole sequence.")
]
LayerNorm = Annotated[
    bool, typer.Option("--layer-norm", help="Normalise over the units before the nonlinearity.")
]
Init = Annotated[
    Literal["torch", "orthogonal", "identity", "critical", "integrator"],
    typer.Option(help="How the recurrent weights begin."),
]
Dropout = Annotated[float, typer.Option(help="On what is read, between layers, before the head.")]
EmbeddingSize = Annotated[int, typer.Option(min=1, help="Numbers a token is given.")]
Level = Annotated[
    Literal["char", "word"], typer.Option(help="Read texts by characters or by words.")
]
Chunk = Annotated[int, typer.Option(min=1, help="Steps back through which a gradient goes.")]
Epochs = Annotated[int, typer.Option(min=1, help="The most passes over the data.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Rows in a step.")]
LearningRate = Annotated[float, typer.Option("--lr", help="Learning rate.")]
Clip = Annotated[float, typer.Option(help="The largest norm of the gradient.")]
Patience = Annotated[int, typer.Option(min=1, help="Epochs without progress before stopping.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed, the same numbers.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1 or mps.")]
Threads = Annotated[
    int, typer.Option(min=1, max=512, help="CPU threads; a small network is no faster with more.")
]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="Only operations that give the same bits on a GPU too."),
]
Forward = Annotated[  # of the tasks that look ahead: there, reading from the end is no option
    bool, typer.Option("--bidirectional", hidden=True)
]


def refuse(task: str, asked: Mapping[str, object]) -> None:
    """Options that mean nothing for a task are a mistake, not to be passed over.

    Raises:
        SettingError: one has a value.
    """
    for name, value in asked.items():
        if value:
            raise SettingError(f"--{name}: means nothing for a run of the task {task!r}")


def refuse_without_file(asked: Mapping[str, object]) -> None:
    """Options that say what to read of a file mean nothing where there is none.

    Raises:
        SettingError: one has a value.
    """
    for name, value in asked.items():
        if value:
            raise SettingError(f"--{name}: says what to read of a FILE; give one, or leave it out")
