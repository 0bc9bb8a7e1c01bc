"""
The private line to the orchestrator: descriptor 3 out, standard input in.

Libraries, native code and grandchildren print; therefore `claim` runs before anything heavy is
imported, and afterwards descriptor 1 is the log and descriptor 0 is empty.
"""

import os
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from kilnwatt_worker.messages import Answer, Envelope, encode
from kilnwatt_worker.strict import MAX_LINE_BYTES, Refused

PROTOCOL_FD = 3


class Channel:
    """Sends whole lines from any thread. Owns the sequence number."""

    def __init__(self, out: BinaryIO, launch: str) -> None:
        self._out = out
        self._launch = launch
        self._gate = threading.Lock()
        self._seq = 0

    def send(self, body: Answer) -> None:
        with self._gate:
            line = memoryview(encode(Envelope(self._launch, self._seq + 1, body)))
            self._seq += 1
            while line:  # a raw write may be partial
                line = line[self._out.write(line) :]


def claim(launch: str) -> tuple[Channel, BinaryIO]:
    """Takes the protocol's two descriptors for itself. Raises OSError when 3 is not open."""
    os.fstat(PROTOCOL_FD)
    os.set_inheritable(PROTOCOL_FD, False)
    out = os.fdopen(PROTOCOL_FD, "wb", buffering=0)
    requests = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Channel(out, launch), requests


def lines(requests: BinaryIO, refuse: Callable[[Refused], None]) -> Iterator[bytes]:
    """Lines until end of input. One that is too long is skipped to its end and refused, not kept in memory."""
    while line := requests.readline(MAX_LINE_BYTES + 1):
        if len(line) <= MAX_LINE_BYTES or line.endswith(b"\n"):
            if line.strip():
                yield line.rstrip(b"\n")
            continue
        while line and not line.endswith(b"\n"):
            line = requests.readline(MAX_LINE_BYTES)
        refuse(Refused(f"a line is longer than {MAX_LINE_BYTES} bytes"))
