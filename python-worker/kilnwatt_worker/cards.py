"""
All cards of a host, by UUID, for whoever watches them: the energy counter, the power of this instant, and which
programs compute. A figure that a card does not give is None, and so are all of one that is lost.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path

from kilnwatt_worker.card import Card
from kilnwatt_worker.nvml import Nvml

KERNEL = Path("/proc/sys/kernel/osrelease")


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
    millijoules: int | None
    milliwatts: int | None
    processes: tuple[Process, ...] | None


def open_cards() -> tuple[Card, ...]:
    """All that answer now. Raises NoCards."""
    try:
        nvml: Nvml = importlib.import_module("pynvml")
    except ImportError as error:
        raise NoCards("nvidia-ml-py is not installed") from error
    try:
        nvml.nvmlInit()
        count = int(nvml.nvmlDeviceGetCount())
    except nvml.NVMLError as error:
        raise NoCards(f"NVML does not answer ({error})") from error
    found = [_card(nvml, index) for index in range(count)]
    cards = tuple(card for card in found if card is not None)
    if not cards:
        raise NoCards("NVML lists no card")
    return cards


class Watch:
    """Of one card; its readings follow each other by the driver's own clock."""

    def __init__(self, card: Card, seconds: float, kernel: Path = KERNEL) -> None:
        """`seconds`: how far back the first reading looks for who used the card."""
        self._card = card
        self._lists_programs = not _is_windows(kernel)
        kept = card.utilisation(0)
        self._since = 0 if kept is None else max(0, kept.until - round(seconds * 1e6))

    def read(self) -> CardReading:
        return CardReading(
            uuid=self._card.uuid,
            millijoules=self._card.counter_mj(),
            milliwatts=self._card.instant_mw(),
            processes=self._processes() if self._lists_programs else None,
        )

    def _processes(self) -> tuple[Process, ...] | None:
        pids = self._card.pids()
        if pids is None:
            return None
        used = self._card.utilisation(self._since)
        self._since = self._since if used is None else used.until
        return tuple(Process(pid, None if used is None else used.mean_of(pid) / 100) for pid in sorted(pids))


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
