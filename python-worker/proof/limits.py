"""A limit on work that cannot be asked to stop, as compiling cannot: an exception that no `except Exception` keeps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeUp(BaseException):
    pass


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises TimeUp inside, between two instructions of Python. In the main thread only."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
