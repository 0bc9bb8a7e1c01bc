"""
The card's power as `nvidia-smi` streams it, one long-lived process for the whole proof, and its integral.

Fields are asked for only where this nvidia-smi lists them, since one that it does not know fails the whole query.
"""

import re
import subprocess
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

EVERY_MS = 100
LONGEST_GAP_SECONDS = 1.0
"""Over a longer one, or further from either end, the power in between is not known."""

WANTED: Sequence[Sequence[str]] = (
    ("timestamp",),
    ("index",),
    ("uuid", "gpu_uuid"),
    ("power.draw.instant", "power.draw"),
    ("power.draw.average", "power.draw"),
    ("enforced.power.limit", "power.limit"),
    ("utilization.gpu",),
    ("memory.used",),
    ("clocks.sm", "clocks.current.sm"),
    ("temperature.gpu",),
    ("pstate",),
)
"""Each with its spellings, newest first."""


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    """Seconds of the monotonic clock, when the row came."""
    watts: float


def millijoules(samples: Sequence[Sample], begin: float, end: float) -> int | None:
    """By the trapezium rule; None where the samples leave a gap or an end open."""
    if end <= begin or not _cover(samples, begin, end):
        return None
    inside = [one for one in samples if begin < one.at < end]
    points = [Sample(begin, _watts_at(samples, begin)), *inside, Sample(end, _watts_at(samples, end))]
    return round(1000 * sum((one.watts + two.watts) / 2 * (two.at - one.at) for one, two in pairwise(points)))


def fields_known(help_text: str) -> list[str]:
    listed = {
        name for line in help_text.splitlines() if line.startswith('"') for name in re.findall(r'"([\w.]+)"', line)
    }
    chosen = [next((name for name in spellings if name in listed), None) for spellings in WANTED]
    return list(dict.fromkeys(name for name in chosen if name is not None))


class PowerStream:
    """`on_row` gets every row as it came. Without nvidia-smi there are none, and `fields` is empty."""

    def __init__(self, uuid: str | None, on_row: Callable[[str], None], program: str = "nvidia-smi") -> None:
        self._uuid = uuid
        self._on_row = on_row
        self.samples: list[Sample] = []
        self.fields = _probe(program)
        self._child: subprocess.Popen[str] | None = None
        if self.fields:
            query = [f"--query-gpu={','.join(self.fields)}", "--format=csv,noheader,nounits", "-lms", str(EVERY_MS)]
            self._child = subprocess.Popen([program, *query], stdout=subprocess.PIPE, text=True)
            self._reader = threading.Thread(target=self._read, args=(self._child,), name="power", daemon=True)
            self._reader.start()

    def millijoules(self, begin: float, end: float) -> int | None:
        """Between two moments of the monotonic clock. Waits a little for the row after the end."""
        deadline = end + 3 * EVERY_MS / 1000
        while self._child is not None and self._last() < end and time.monotonic() < deadline:
            time.sleep(EVERY_MS / 2000)
        return millijoules(self.samples, begin, end)

    def close(self) -> None:
        if self._child is not None:
            self._child.terminate()
            self._child.wait(timeout=10)
            self._reader.join(timeout=10)
            if self._child.stdout is not None:
                self._child.stdout.close()

    def _last(self) -> float:
        return self.samples[-1].at if self.samples else 0.0

    def _read(self, child: subprocess.Popen[str]) -> None:
        for line in child.stdout or ():
            at, row = time.monotonic(), line.strip()
            watts = self._watts(row)
            if watts is not None:
                self.samples.append(Sample(at, watts))
            self._on_row(row)

    def _watts(self, row: str) -> float | None:
        """Of our card. `[N/A]` and the like are unknown, not zero."""
        cells = dict(zip(self.fields, (cell.strip() for cell in row.split(",")), strict=False))
        uuid = cells.get("uuid", cells.get("gpu_uuid"))
        text = cells.get("power.draw.instant", cells.get("power.draw", ""))
        is_ours = self._uuid is None or uuid == self._uuid
        return float(text) if is_ours and re.fullmatch(r"\d+(\.\d+)?", text) else None


def _probe(program: str) -> list[str]:
    try:
        ended = subprocess.run([program, "--help-query-gpu"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    found = fields_known(ended.stdout)
    return found if {"uuid", "gpu_uuid"} & set(found) else []


def _cover(samples: Sequence[Sample], begin: float, end: float) -> bool:
    near = [one.at for one in samples if begin - LONGEST_GAP_SECONDS <= one.at <= end + LONGEST_GAP_SECONDS]
    if len(near) < 2 or near[0] > begin + LONGEST_GAP_SECONDS or near[-1] < end - LONGEST_GAP_SECONDS:
        return False
    return all(after - before <= LONGEST_GAP_SECONDS for before, after in pairwise(near))


def _watts_at(samples: Sequence[Sample], moment: float) -> float:
    """On the line between its neighbours; beyond the first and the last, as those."""
    place = bisect_left([one.at for one in samples], moment)
    if place == 0 or place == len(samples):
        return samples[min(place, len(samples) - 1)].watts
    before, after = samples[place - 1], samples[place]
    part = (moment - before.at) / (after.at - before.at) if after.at > before.at else 0.0
    return before.watts + (after.watts - before.watts) * part
