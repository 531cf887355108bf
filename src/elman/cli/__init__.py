"""The command `elman`: one file a subcommand, each a thin face over `elman.tasks`.

Nothing here imports torch until a command needs it.
"""

import sys

import typer

from elman.cli import demo, evaluate, info, predict, train
from elman.errors import ElmanError

app = typer.Typer(
    help="The recurrent-network toolkit for PyTorch.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(train.app, name="train")
app.command()(predict.predict)
app.command()(evaluate.evaluate)
app.command()(info.info)
app.command()(demo.demo)


def main() -> None:
    """Run the command line; a person's mistake ends in one line and exit code 2."""
    try:
        app()
    except ElmanError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader has gone, as in `elman predict ... | head`
        sys.stderr.close()
        sys.exit(141)
