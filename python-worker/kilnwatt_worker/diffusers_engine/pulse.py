"""A thread that looks at a meter while work goes on."""

import threading
from collections.abc import Callable
from typing import TypeAlias

Stop: TypeAlias = Callable[[], None]
"""Ends the looking, and waits until it has ended. May be called twice."""
Pulse: TypeAlias = Callable[[Callable[[], None]], Stop]
"""Has something called again and again, from another thread, until it is stopped."""

LONGEST_WAIT_SECONDS = 2.0
"""For a look that is under way: a driver that hangs must not hold the engine."""


def pulse(seconds: float) -> Pulse:
    """A look that raises was the last one; whoever opened the window finds fewer looks, and no error."""

    def start(look: Callable[[], None]) -> Stop:
        stopped = threading.Event()

        def run() -> None:
            try:
                while not stopped.wait(seconds):
                    look()
            except Exception:
                return

        thread = threading.Thread(target=run, name="energy", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the host has no thread left
            return stopped.set

        def stop() -> None:
            stopped.set()
            thread.join(LONGEST_WAIT_SECONDS)

        return stop

    return start
