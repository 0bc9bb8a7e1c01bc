"""A card on paper, behind those calls of nvidia-ml-py that are used: its meters say what a script has them say."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from types import SimpleNamespace
from typing import TypeAlias, TypeVar

import pytest

from kilnwatt_worker.card import card_of
from kilnwatt_worker.diffusers_engine.energy import CardWindow
from kilnwatt_worker.diffusers_engine.pulse import Stop
from kilnwatt_worker.energy import Energy

UUID = "GPU-5c1d0d9e-0000-4000-8000-000000000001"
OURS = os.getpid()
THEIRS = OURS + 1
NOT_SUPPORTED = 3
NOT_FOUND = 6

Answer = TypeVar("Answer")
ByTime: TypeAlias = Callable[[float], int | None]
"""What a meter says at a moment, in seconds; None: it does not answer."""


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


def watts(value: float) -> ByTime:
    return lambda _now: round(value * 1000)


def counting(power: float, step: float = 0.05) -> ByTime:
    """A counter that rises by so many watts, in steps of so many seconds."""
    return lambda now: 1_000_000 + round(1000 * power * step * int(now / step + 1e-6))


def silent(_now: float) -> None:
    return None


@dataclass
class ScriptedNvml:
    NVMLError = NVMLError

    counter: ByTime = field(default_factory=lambda: counting(300))
    power: ByTime = field(default_factory=lambda: watts(300))
    instant: bool = True
    limit: int | None = 450_000
    pids: Callable[[float], Sequence[int] | None] = lambda _now: (OURS,)
    used: Sequence[tuple[float, int, int]] | None = ()
    """Moment, process id, hundredths of the card's time; None: not supported."""
    none_used: int = NOT_FOUND
    """The code of the error that comes in place of an empty list."""
    now: float = 0.0

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return _told(uuid if uuid == UUID else None)

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle: str) -> int:
        return _told(self.counter(self.now))

    def nvmlDeviceGetFieldValues(self, _handle: str, fields: list[int]) -> list[SimpleNamespace]:
        assert fields == [186]
        power = self.power(self.now) if self.instant else None
        code = NOT_SUPPORTED if power is None else 0
        return [SimpleNamespace(nvmlReturn=code, value=SimpleNamespace(uiVal=power or 0))]

    def nvmlDeviceGetPowerUsage(self, _handle: str) -> int:
        return _told(self.power(self.now))

    def nvmlDeviceGetEnforcedPowerLimit(self, _handle: str) -> int:
        return _told(self.limit)

    def nvmlDeviceGetComputeRunningProcesses(self, _handle: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid) for pid in _told(self.pids(self.now))]

    def nvmlDeviceGetProcessUtilization(self, _handle: str, since: int) -> list[SimpleNamespace]:
        samples = [
            SimpleNamespace(pid=pid, timeStamp=round(at * 1e6), smUtil=share)
            for at, pid, share in _told(self.used)
            if at <= self.now and round(at * 1e6) > since
        ]
        if not samples:
            raise NVMLError(self.none_used)
        return samples


def _told(answer: Answer | None) -> Answer:
    if answer is None:
        raise NVMLError(NOT_SUPPORTED)
    return answer


def took(nvml: ScriptedNvml, seconds: float, every: float = 0.1, starved: tuple[float, float] = (0.0, 0.0)) -> Energy:
    """
    What a window says that is opened at 100 s and looked into so often; between the two moments of `starved`, counted
    from its beginning, nobody looks.
    """
    looks: list[Callable[[], None]] = []
    stopped: list[bool] = []

    def by_hand(look: Callable[[], None]) -> Stop:
        looks.append(look)
        return lambda: stopped.append(True)

    nvml.now = 100.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pynvml", nvml)
        card = card_of(UUID)
    assert card is not None
    window = CardWindow(card, by_hand, lambda: nvml.now, lambda: 1_780_000_000 + nvml.now)
    for at in accumulate(repeat(every, round(seconds / every) - 1)):
        nvml.now = 100.0 + at
        if not starved[0] < at < starved[1]:
            looks[0]()
    nvml.now = 100.0 + seconds
    energy = window.close()
    assert stopped
    return energy
