"""
A recording of what a card's meters said, for tests that replay it: NDJSON, a first line of metadata, then the rows of
nvidia-smi and the readings of NVML's energy counter as they came. `t` is in milliseconds of Unix time.
"""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

COUNTER_EVERY_SECONDS = 0.2


class Recording:
    """Open, it takes rows and reads the counter by itself. `mark` says what begins: idle, busy, unloading."""

    def __init__(
        self, file: Path, metadata: dict[str, object], uuid: str | None, counter: Callable[[], int | None]
    ) -> None:
        self._uuid = uuid
        self._counter = counter
        self._lock = threading.Lock()
        self._closed = threading.Event()
        file.parent.mkdir(parents=True, exist_ok=True)
        self._out = file.open("w", encoding="utf-8")
        self._write(metadata)
        self._thread = threading.Thread(target=self._read_counter, name="counter", daemon=True)

    def __enter__(self) -> "Recording":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()
        with self._lock:
            self._out.close()

    def row(self, row: str) -> None:
        self._write({"t": _now(), "src": "smi", "row": row})

    def mark(self, what: str) -> None:
        self._write({"t": _now(), "src": "mark", "what": what})

    def _read_counter(self) -> None:
        while not self._closed.is_set():
            reading = self._counter()
            if reading is not None:
                self._write({"t": _now(), "src": "nvml", "uuid": self._uuid, "mj": reading})
            self._closed.wait(COUNTER_EVERY_SECONDS)

    def _write(self, line: dict[str, object]) -> None:
        with self._lock:
            if not self._out.closed:
                self._out.write(json.dumps(line) + "\n")


def _now() -> int:
    return round(time.time() * 1000)
