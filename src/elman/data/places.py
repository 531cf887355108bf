"""Names beside a place that is written to: for what was there, and for what is not whole yet."""

import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4


def free_name(target: Path, suffix: str = "") -> Path:
    """The first of target.bak-1, target.bak-2, ..., with the suffix, that is not there."""
    number = 1
    while (aside := target.with_name(f"{target.name}.bak-{number}{suffix}")).exists():
        number += 1
    return aside


def kept_aside(target: Path) -> Path:
    """Let a file be there under another name too, NAME.bak-1.SUFFIX, NAME.bak-2.SUFFIX, ..."""
    while True:
        aside = free_name(target.with_suffix(""), target.suffix)
        try:
            os.link(target, aside)
        except FileExistsError:  # another process took that name between two lines
            continue
        except OSError:  # a place that knows no second names
            shutil.copy2(target, aside)
        return aside


def partial_place(target: Path) -> Path:
    """A hidden name beside a place, of this process alone, to write under until all is there."""
    return target.with_name(f".{target.name}.partial-{os.getpid()}-{uuid4().hex[:8]}")


def left_behind(target: Path) -> Iterator[Path]:
    """What processes left beside a place that were killed while they wrote: .NAME.partial-PID..."""
    begin = f".{target.name}.partial-"
    for place in target.parent.glob(f"{glob.escape(begin)}*"):
        number = place.name.removeprefix(begin).partition("-")[0]
        if number.isdigit() and not is_alive(int(number)):
            yield place


def clear_files(target: Path) -> None:
    """Remove the files that were so left behind; a folder is another's to judge."""
    for place in filter(Path.is_file, left_behind(target)):
        place.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Whether a process of this number is there."""
    if os.name == "nt":
        return True  # asking would end it
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
