"""
The energy counter of the device, read at both ends of a stretch of work.

The counter covers the whole card. Where there is none the answer is unknown, never zero.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine.nvml import find_card, uuid_of
from kilnwatt_worker.parts import Energy
from kilnwatt_worker.resident import NO_ENERGY

Counter: TypeAlias = Callable[[], int | None]
"""Millijoules since the driver was loaded; None when it cannot be read now."""


class EnergyWindow:
    """Opens with the first reading."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._first = counter()

    def close(self) -> Energy:
        """Unknown when either reading failed, or when the counter fell because the driver was reloaded."""
        last = self._counter()
        if self._first is None or last is None or last < self._first:
            return NO_ENERGY
        return Energy(millijoules=last - self._first, meter="nvml_counter", method="measured")


def counter_of(device: torch.device) -> Counter:
    """Tried once for each device; a card without a counter costs nothing afterwards."""
    return _nothing if device.type != "cuda" else nvml_counter(uuid_of(device))


def _nothing() -> int | None:
    return None


def nvml_counter(uuid: str) -> Counter:
    found = find_card(uuid)
    if found is None:
        return _nothing
    nvml, handle = found

    def read() -> int | None:
        try:
            return int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        except nvml.NVMLError:
            return None

    return _nothing if read() is None else read
