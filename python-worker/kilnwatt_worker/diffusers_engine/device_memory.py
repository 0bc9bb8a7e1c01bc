"""How much of a device's memory is taken, by whomever, and the most that it was found to be."""

from collections.abc import Callable
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine.device_uuid import uuid_of
from kilnwatt_worker.diffusers_engine.wsl import is_wsl2, kernel_release
from kilnwatt_worker.engine import Report
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.nvml import memory_of
from kilnwatt_worker.parts import Item, Level, Phase, StepSeconds, Work

Look: TypeAlias = Callable[[], tuple[int, int] | None]
"""Free and all bytes; None where there is no such device, or it cannot be read."""


class DeviceMemory:
    """Cheap enough to be asked at the end of each phase, when the allocator still holds what the phase has taken."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._peak: int | None = None

    def reset(self) -> None:
        self._peak = None

    def look(self) -> tuple[int, int] | None:
        found = self._look()
        if found is not None:
            free, total = found
            self._peak = max(self._peak or 0, total - free)
        return found

    @property
    def peak_bytes(self) -> int | None:
        """Of what was seen since `reset`."""
        return self._peak


class Watched:
    """A report whose every change of phase is a look at the device."""

    def __init__(self, report: Report, memory: DeviceMemory) -> None:
        self._report = report
        self._memory = memory

    def phase(self, phase: Phase) -> None:
        self._memory.look()
        self._report.phase(phase)

    def progress(self, step: int, steps: int) -> None:
        self._report.progress(step, steps)

    def image(self, item: Item, width: int, height: int) -> None:
        self._report.image(item, width, height)

    def failure(self, item: Item, error: WorkerError) -> None:
        self._report.failure(item, error)

    def log(self, level: Level, message: str) -> None:
        self._report.log(level, message)

    def denoised(self, steps: StepSeconds, work: Work) -> None:
        self._report.denoised(steps, work)

    def wanted(self) -> frozenset[str]:
        return self._report.wanted()


def memory_of_device(device: torch.device) -> DeviceMemory:
    if device.type != "cuda":
        return DeviceMemory(lambda: None)

    def by_torch() -> tuple[int, int]:
        return torch.cuda.mem_get_info(device)

    if not is_wsl2(kernel_release()):
        return DeviceMemory(by_torch)
    # There torch and the driver differ: what torch calls free may be the host's.
    by_nvml = memory_of(uuid_of(device))
    return DeviceMemory(lambda: by_nvml() or by_torch())
