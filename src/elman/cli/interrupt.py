"""Ctrl-C, and a polite kill, during a training: the first is enough, a second loses nothing."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def one_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first signal and ignore more until the block has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may listen to signals
        return

    def stop(number: int, frame: FrameType | None) -> None:
        for known in _SIGNALS:
            signal.signal(known, signal.SIG_IGN)
        print("interrupted: stopping after this step ...", file=sys.stderr, flush=True)
        raise KeyboardInterrupt

    before = {known: signal.signal(known, stop) for known in _SIGNALS}
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
