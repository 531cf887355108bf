"""The command `elman`: one file a subcommand, each a thin face over `elman.tasks`.

Nothing here imports torch until a command needs it.
"""

import sys
from itertools import pairwise
from typing import Annotated

import typer

from elman import __version__
from elman.cli import (
    bench,
    console,
    demo,
    diagnose,
    evaluate,
    export,
    generate,
    info,
    predict,
    train,
    view,
)
from elman.cli.streams import guarded_output
from elman.errors import ElmanError, InterruptedTrainingError

_SEVERAL = ("--values", "--target")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """The recurrent-network toolkit for PyTorch."""
    if version:
        print(f"elman {__version__}")
        raise typer.Exit


app.command()(demo.demo)
app.add_typer(train.app, name="train")
app.command()(predict.predict)
app.command()(generate.generate)
app.command()(evaluate.evaluate)
app.command()(view.view)
app.command()(diagnose.diagnose)
app.command()(export.export)
app.command()(info.info)
app.command()(bench.bench)


def spread(words: list[str]) -> list[str]:
    """A flag that takes several columns before each of them: `--values a b` is `--values a
    --values b`.

    Only after FILE, or what follows would be taken for a column.

    >>> spread(["train", "forecast", "f.csv", "--target", "a", "b", "--seed", "1"])
    ['train', 'forecast', 'f.csv', '--target', 'a', '--target', 'b', '--seed', '1']
    """
    several, out = "", list(words[:3])
    if len(words) < 3 or words[2].startswith("-"):
        return list(words)
    for before, word in pairwise(words[2:]):
        if word.startswith("-"):
            several = word if word in _SEVERAL else ""
        elif several and before != several:
            out.append(several)
        out.append(word)
    return out


def main() -> None:
    """Run the command line; a person's mistake ends in one line and exit code 2."""
    sys.argv[1:] = spread(sys.argv[1:])
    try:
        with guarded_output():
            app()
    except InterruptedTrainingError as error:
        console.complain(error)
        sys.exit(130)
    except ElmanError as error:
        console.complain(error)
        sys.exit(2)
