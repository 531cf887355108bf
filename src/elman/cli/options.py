"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

RunDir = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")]
Encoding = Annotated[str, typer.Option(help="Of the file, for example gb18030.")]
TextColumn = Annotated[
    str | None, typer.Option("--text", help="Column of the texts. [default: as in training]")
]
