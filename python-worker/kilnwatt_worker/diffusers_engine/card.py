"""
What is asked of one card while it works: its energy counter, its power, and who computes on it.

An answer is None where the card does not give it now, whatever the reason: a meter never ends a batch. NVML is asked
anew each time, since a call that is not supported costs nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from kilnwatt_worker.diffusers_engine.nvml import Nvml, find_card, full_uuid

POWER_INSTANT = 186
"""NVML_FI_DEV_POWER_INSTANT, in milliwatts."""
SUCCESS = 0
NOT_FOUND = 6
"""NVML_ERROR_NOT_FOUND: of utilisation, that no program used the card since."""

Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Share of the card's time by process id, in hundredths; all of them 0 or more."""

    by_pid: Mapping[int, int]
    until: int
    """The driver's time of the last sample, to ask on from; that asked from where there was none."""


class Card:
    def __init__(self, nvml: Nvml, handle: object, uuid: str) -> None:
        self._nvml = nvml
        self._handle = handle
        self.uuid = uuid
        self.is_instant = self._instant_mw() is not None
        """Whether its power is that of the moment, not a mean over the last second."""

    def counter_mj(self) -> int | None:
        """Since the driver was loaded."""
        return _answer(lambda: int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)))

    def power_mw(self) -> int | None:
        if self.is_instant:
            return self._instant_mw()
        return _answer(lambda: int(self._nvml.nvmlDeviceGetPowerUsage(self._handle)))

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
        fresh = [sample for sample in samples if int(sample.timeStamp) > since]
        by_pid: dict[int, int] = {}
        for sample in fresh:
            by_pid[int(sample.pid)] = by_pid.get(int(sample.pid), 0) + int(sample.smUtil)
        return Utilisation(by_pid, max((int(sample.timeStamp) for sample in fresh), default=since))

    def _instant_mw(self) -> int | None:
        def ask() -> int | None:
            told = self._nvml.nvmlDeviceGetFieldValues(self._handle, [POWER_INSTANT])[0]
            return int(told.value.uiVal) if told.nvmlReturn == SUCCESS else None

        return _answer(ask)


def card_of(uuid: str) -> Card | None:
    """By the UUID with or without its prefix; None where NVML is not there, or does not know it."""
    found = find_card(uuid)
    return None if found is None else Card(*found, full_uuid(uuid))


def _answer(ask: Callable[[], Told]) -> Told | None:
    try:
        return ask()
    except Exception:
        return None
