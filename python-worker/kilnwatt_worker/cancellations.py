"""Which jobs of which batches were given up. Written by the reader, read by the engine's thread."""

import threading


class Cancellations:
    """Knows only batches that are queued or running, so that it cannot grow."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._open: dict[str, set[str]] = {}

    def opened(self, batch: str) -> None:
        with self._gate:
            self._open.setdefault(batch, set())

    def cancel(self, batch: str, jobs: tuple[str, ...]) -> bool:
        """False when the batch has had its last answer already, or was never asked for."""
        with self._gate:
            known = self._open.get(batch)
            if known is None:
                return False
            known.update(jobs)
            return True

    def of(self, batch: str) -> frozenset[str]:
        with self._gate:
            return frozenset(self._open.get(batch, ()))

    def closed(self, batch: str) -> None:
        with self._gate:
            self._open.pop(batch, None)
