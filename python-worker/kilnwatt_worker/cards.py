"""
What NVIDIA's own library says of all cards, by UUID: the energy counter, the power of this instant, and which programs
compute. A figure that it does not give is None, and so are all of a card that is lost.
"""

import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

Nvml: TypeAlias = Any  # the package nvidia-ml-py has no types
T = TypeVar("T")

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


@dataclass(frozen=True, slots=True)
class Card:
    nvml: Nvml
    uuid: str
    handle: object
    lists_programs: bool


def open_cards(kernel: Path = KERNEL) -> tuple[Card, ...]:
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
    lists_programs = not _is_windows(kernel)
    found = [_asked(nvml, partial(_card, nvml, index, lists_programs)) for index in range(count)]
    cards = tuple(card for card in found if card is not None)
    if not cards:
        raise NoCards("NVML lists no card")
    return cards


def now_microseconds() -> int:
    """The clock that NVML stamps its samples with."""
    return time.time_ns() // 1000


def read_card(card: Card, since: int) -> CardReading:
    """`since`: microseconds, of the reading before."""
    nvml, handle = card.nvml, card.handle
    return CardReading(
        uuid=card.uuid,
        millijoules=_asked(nvml, lambda: int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))),
        milliwatts=_asked(nvml, lambda: _instant_milliwatts(nvml, handle)),
        processes=_asked(nvml, lambda: _processes(nvml, handle, since)) if card.lists_programs else None,
    )


def _card(nvml: Nvml, index: int, lists_programs: bool) -> Card:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    return Card(nvml, str(nvml.nvmlDeviceGetUUID(handle)), handle, lists_programs)


def _instant_milliwatts(nvml: Nvml, handle: object) -> int | None:
    (field,) = nvml.nvmlDeviceGetFieldValues(handle, [nvml.NVML_FI_DEV_POWER_INSTANT])
    return int(field.value.uiVal) if field.nvmlReturn == nvml.NVML_SUCCESS else None


def _processes(nvml: Nvml, handle: object, since: int) -> tuple[Process, ...]:
    pids = sorted({int(process.pid) for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)})
    shares = _shares(nvml, handle, since) if pids else {}
    return tuple(Process(pid, None if shares is None else shares.get(pid, 0.0)) for pid in pids)


def _shares(nvml: Nvml, handle: object, since: int) -> dict[int, float] | None:
    """Of each process that has samples, their mean. None where this card takes none."""
    try:
        samples = nvml.nvmlDeviceGetProcessUtilization(handle, since)
    except nvml.NVMLError as error:
        # So it says that nothing ran since then.
        return {} if error.value == nvml.NVML_ERROR_NOT_FOUND else None
    by_pid: dict[int, list[int]] = {}
    for sample in samples:
        # The library leaves places of its list empty.
        if sample.timeStamp > since and sample.smUtil <= 100:
            by_pid.setdefault(int(sample.pid), []).append(int(sample.smUtil))
    return {pid: _mean(percents) / 100 for pid, percents in by_pid.items()}


def _mean(numbers: Iterable[int]) -> float:
    listed = list(numbers)
    return sum(listed) / len(listed)


def _asked(nvml: Nvml, question: Callable[[], T]) -> T | None:
    try:
        return question()
    except nvml.NVMLError:
        return None


def _is_windows(kernel: Path) -> bool:
    """Beneath whose Linux NVML answers an empty list of programs, whatever runs."""
    try:
        return "microsoft" in kernel.read_text(encoding="ascii", errors="replace").lower()
    except OSError:
        return False
