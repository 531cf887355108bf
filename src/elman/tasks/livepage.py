"""report.html of a training under way: who makes it, and when and where it is written."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from elman.tasks.newrun import NewRun
from elman.train import Progress, Report

_OFTEN = 3.0  # seconds from one page to the next, at least
_SHARE = 0.01  # of the time, at most, goes into pages


def with_page(report: Report, draft: Callable[[Progress], str]) -> Report:
    """The same report, handed at the end of each epoch what makes the page.

    Args:
        report: to pass everything on to.
        draft: makes the page.
    """

    def told(progress: Progress) -> bool | None:
        if progress.record is not None:
            progress = replace(progress, page=partial(draft, progress))
        return report(progress)

    return told


class LivePage:
    """Writes the page after an epoch, if the last one is some seconds old and it costs little.

    A page that cannot be written is told of, once, and stops nothing: the training goes on, and
    after later epochs it is tried again. What a full disk means for the checkpoint, that says.

    Args:
        run: whose page it is.
        out: the run directory by the name to tell.
        say: tells in a line where the page is, or why it is not there.
    """

    def __init__(self, run: NewRun, out: Path, say: Callable[[str], None]) -> None:
        self.run, self.out, self.say = run, out, say
        self._next = time.monotonic() + _OFTEN
        self._said: set[str] = set()

    def __call__(self, progress: Progress) -> None:
        """Write it, if there is one and it is due."""
        if progress.page is None or time.monotonic() < self._next:
            return
        began = time.monotonic()
        page = progress.page()
        try:
            place = self.run.put_page(page)
        except OSError as error:
            self._say_once(
                f"cannot be written: {error.strerror}; the training goes on without a page"
            )
        else:
            name = self.out / place.relative_to(self.run.target)
            self._say_once(f"{name} shows how it goes, anew after each epoch")
        now = time.monotonic()
        self._next = now + max(_OFTEN, (now - began) / _SHARE)

    def _say_once(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self.say(words)
