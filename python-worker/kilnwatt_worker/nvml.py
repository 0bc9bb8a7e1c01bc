"""A card as NVIDIA's own library sees it, found by UUID, because torch and NVML may number the cards differently."""

import importlib
from collections.abc import Callable
from typing import Any, TypeAlias

Nvml: TypeAlias = Any  # the package nvidia-ml-py has no types


def find_card(uuid: str) -> tuple[Nvml, object] | None:
    """The library and its handle. NVML names cards `GPU-…`; torch leaves the prefix out."""
    try:
        nvml: Nvml = importlib.import_module("pynvml")  # only where there is a card
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetHandleByUUID(full_uuid(uuid))
    except nvml.NVMLError:
        return None


def full_uuid(uuid: str) -> str:
    return uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"


def memory_of(uuid: str) -> Callable[[], tuple[int, int] | None]:
    """Free and all bytes of the card as its driver has them; None whenever they cannot be read."""
    found = find_card(uuid)
    if found is None:
        return lambda: None
    nvml, handle = found

    def read() -> tuple[int, int] | None:
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        except nvml.NVMLError:
            return None
        return int(memory.free), int(memory.total)

    return read
