"""
All cards of a host, by UUID, for whoever watches them: the energy counter, the power of this instant, and which
programs compute or otherwise use it. A figure that a card does not give is None, and so are all of one that is lost.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kilnwatt_worker.card import Card
from kilnwatt_worker.nvml import Nvml

KERNEL = Path("/proc/sys/kernel/osrelease")
VERSIONS_DIFFER = 18
"""NVML_ERROR_LIB_RM_VERSION_MISMATCH: the library is of another driver than the one in the kernel."""


class NoCards(Exception):
    """There is no driver, no package to ask it with, or no card; the sentence says which."""


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    share: float | None
    """Of the card's time since the reading before, 0 to 1; None where it cannot be told."""


@dataclass(frozen=True, slots=True)
class CardReading:
    uuid: str
    at: int
    """Milliseconds of Unix time, taken right after the counter."""
    millijoules: int | None
    milliwatts: int | None
    processes: tuple[Process, ...] | None


class Host:
    """The cards that have answered so far. Each look finds those that were missing, or whose driver was."""

    def __init__(self) -> None:
        self._nvml: Nvml | None = None
        self._cards: dict[int, Card] = {}
        self._was_away = False
        self.count = 0
        """Of the cards that NVML lists, whether they answer or not."""
        self.is_outdated = False
        """The driver has come as another one than this process has the library of: only a new process can read it."""

    @property
    def cards(self) -> tuple[Card, ...]:
        """By the numbers that NVML gives them."""
        return tuple(self._cards[index] for index in sorted(self._cards))

    @property
    def is_whole(self) -> bool:
        return self._nvml is not None and len(self._cards) == self.count

    def look(self) -> None:
        """Raises NoCards where none has answered so far."""
        if self._nvml is None:
            self._nvml = self._opened()
        for index in range(self.count):
            card = None if index in self._cards else _card(self._nvml, index)
            if card is not None:
                self._cards[index] = card
        if not self._cards:
            raise NoCards("NVML lists no card" if self.count == 0 else f"none of {self.count} cards answers")

    def _opened(self) -> Nvml:
        try:
            nvml: Nvml = importlib.import_module("pynvml")
        except ImportError as error:
            raise NoCards("nvidia-ml-py is not installed") from error
        try:
            nvml.nvmlInit()
            self.count = int(nvml.nvmlDeviceGetCount())
        except nvml.NVMLError as error:
            differs = getattr(error, "value", None) == VERSIONS_DIFFER
            # Where they differ from the first, a new process would find the same.
            self.is_outdated = differs and self._was_away
            self._was_away = self._was_away or not differs
            raise NoCards(f"NVML does not answer ({error})") from error
        return nvml


class Watch:
    """Of one card; its readings follow each other by the driver's own clock."""

    def __init__(
        self, card: Card, seconds: float, kernel: Path = KERNEL, wall: Callable[[], float] = time.time
    ) -> None:
        """`seconds`: how far back the first reading looks for who used the card."""
        self._card = card
        self._wall = wall
        self._lists_programs = not _is_windows(kernel)
        kept = card.utilisation(0)
        self._since = 0 if kept is None else max(0, kept.until - round(seconds * 1e6))

    def read(self) -> CardReading:
        counter = self._card.counter_mj()
        # Now, and not after the slower questions: a window of the worker may end meanwhile, with a newer counter.
        at = round(self._wall() * 1000)
        return CardReading(
            uuid=self._card.uuid,
            at=at,
            millijoules=counter,
            milliwatts=self._card.instant_mw(),
            processes=self._processes() if self._lists_programs else None,
        )

    def _processes(self) -> tuple[Process, ...] | None:
        pids = self._card.pids()
        if pids is None:
            return None
        used = self._card.utilisation(self._since)
        self._since = self._since if used is None else used.until
        if used is None:
            return tuple(Process(pid, None) for pid in sorted(pids))
        return tuple(Process(pid, used.mean_of(pid) / 100) for pid in sorted(pids | used.users()))


def _card(nvml: Nvml, index: int) -> Card | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        return Card(nvml, handle, str(nvml.nvmlDeviceGetUUID(handle)))
    except nvml.NVMLError:
        return None


def _is_windows(kernel: Path) -> bool:
    """Beneath whose Linux NVML answers an empty list of programs, whatever runs."""
    try:
        return "microsoft" in kernel.read_text(encoding="ascii", errors="replace").lower()
    except OSError:
        return False
