"""Ends of work that cannot be asked to stop, as compiling cannot: exceptions that no `except Exception` keeps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 1.0
"""An exception that falls into a destructor is lost, so the limit rings again until it is heard."""


class TimeUp(BaseException):
    pass


class Interruption:
    """Ctrl-C, or the wish of whoever started this. Asked about between cases too, as the exception may be lost."""

    def __init__(self) -> None:
        self._heard = False

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._hear)

    def check(self) -> None:
        if self._heard:
            raise KeyboardInterrupt

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self._heard = True
        raise KeyboardInterrupt


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises TimeUp inside, between two instructions of Python. In the main thread only. Clean up outside of it."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
