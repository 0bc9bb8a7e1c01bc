"""
What is asked of one card: its energy counter, its power, and who computes on it.

An answer is None where the card does not give it now, whatever the reason: a meter never ends a batch. NVML is asked
anew each time, since a call that is not supported costs nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from kilnwatt_worker.nvml import Nvml, find_card, full_uuid

POWER_INSTANT = 186
"""NVML_FI_DEV_POWER_INSTANT, in milliwatts."""
SUCCESS = 0
NOT_FOUND = 6
"""NVML_ERROR_NOT_FOUND: of utilisation, that no program used the card since."""

Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Utilisation:
    by_pid: Mapping[int, tuple[int, ...]]
    """What each sample of a process says: its share of the card's time, in hundredths."""
    until: int
    """The driver's time of the last sample, to ask on from; that asked from where there was none."""

    def users(self) -> frozenset[int]:
        """Whoever had any of the card's time, with a compute context or without."""
        return frozenset(pid for pid in self.by_pid if self.sum_of(pid) > 0)

    def sum_of(self, pid: int) -> int:
        return sum(self.by_pid.get(pid, ()))

    def mean_of(self, pid: int) -> float:
        """0 for a process without a sample: the driver has none of one that did nothing."""
        samples = self.by_pid.get(pid, ())
        return sum(samples) / len(samples) if samples else 0.0


class Card:
    def __init__(self, nvml: Nvml, handle: object, uuid: str) -> None:
        self._nvml = nvml
        self._handle = handle
        self.uuid = uuid
        self.is_instant = self.instant_mw() is not None
        """Whether its power is that of the moment, not a mean over the last second."""

    def counter_mj(self) -> int | None:
        """Since the driver was loaded."""
        return _answer(lambda: int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)))

    def power_mw(self) -> int | None:
        if self.is_instant:
            return self.instant_mw()
        return _answer(lambda: int(self._nvml.nvmlDeviceGetPowerUsage(self._handle)))

    def instant_mw(self) -> int | None:
        """Its power of this moment."""

        def ask() -> int | None:
            told = self._nvml.nvmlDeviceGetFieldValues(self._handle, [POWER_INSTANT])[0]
            return int(told.value.uiVal) if told.nvmlReturn == SUCCESS else None

        return _answer(ask)

    def limit_mw(self) -> int | None:
        """The limit in force."""
        return _answer(lambda: int(self._nvml.nvmlDeviceGetEnforcedPowerLimit(self._handle)))

    def pids(self) -> frozenset[int] | None:
        """Of programs with a compute context, as the host numbers them; in a container ours has another number."""
        return _answer(
            lambda: frozenset(
                int(process.pid) for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
            )
        )

    def utilisation(self, since: int) -> Utilisation | None:
        """`since` is in the driver's own microseconds; 0: all that it has kept."""
        try:
            samples = self._nvml.nvmlDeviceGetProcessUtilization(self._handle, since)
        except Exception as error:  # nvidia-ml-py raises for an empty list too, with the code of success
            return Utilisation({}, since) if getattr(error, "value", None) in (SUCCESS, NOT_FOUND) else None
        # The library leaves places of its list empty.
        fresh = [sample for sample in samples if int(sample.timeStamp) > since and int(sample.smUtil) <= 100]
        by_pid: dict[int, tuple[int, ...]] = {}
        for sample in fresh:
            by_pid[int(sample.pid)] = (*by_pid.get(int(sample.pid), ()), int(sample.smUtil))
        return Utilisation(by_pid, max((int(sample.timeStamp) for sample in fresh), default=since))


def card_of(uuid: str) -> Card | None:
    """By the UUID with or without its prefix; None where NVML is not there, or does not know it."""
    found = find_card(uuid)
    return None if found is None else Card(*found, full_uuid(uuid))


def _answer(ask: Callable[[], Told]) -> Told | None:
    try:
        return ask()
    except Exception:
        return None
