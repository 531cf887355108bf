"""Ctrl-C, and a polite kill, during a training: the first is enough, a second loses nothing."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Interrupt:
    """What was asked for.

    Attributes:
        deferred: while steps are taken: a signal only sets `asked`, and the step is finished.
        asked: whether a signal came.
    """

    deferred: bool = False
    asked: bool = False


@contextmanager
def one_interrupt() -> Iterator[Interrupt]:
    """Heed the first signal and ignore more until the block has ended."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt  # only the main thread may listen to signals
        return

    def stop(number: int, frame: FrameType | None) -> None:
        for known in _SIGNALS:
            signal.signal(known, signal.SIG_IGN)
        interrupt.asked = True
        if not interrupt.deferred:
            raise KeyboardInterrupt
        print("interrupted: stopping after this step ...", file=sys.stderr, flush=True)

    before = {known: signal.signal(known, stop) for known in _SIGNALS}
    try:
        yield interrupt
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
