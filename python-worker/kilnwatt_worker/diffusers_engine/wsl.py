"""
A card under WSL2, where the driver does not refuse memory that it does not have: it spills into the host's, without a
word and many times slower. So torch's allocator is told how much there is, and fails by itself at that.
"""

import os
from dataclasses import dataclass

import torch

from kilnwatt_worker.diffusers_engine.device_uuid import uuid_of
from kilnwatt_worker.engine import LogTo
from kilnwatt_worker.nvml import memory_of

RESERVE_BYTES = 512 * 1024**2
"""Left to the desktop, which takes more as windows open, and to what this process takes past torch's allocator."""


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of a card."""

    free: int
    total: int
    ours: int
    """Of what is not free: what torch's allocator holds for this process."""


def is_wsl2(kernel_release: str) -> bool:
    lower = kernel_release.lower()
    return "microsoft" in lower and "wsl2" in lower


def kernel_release() -> str:
    return os.uname().release


def share(room: Room, reserve: int = RESERVE_BYTES) -> float:
    """The part of the whole card, 0 … 1, that torch's allocator may hold so that nothing spills."""
    return min(1.0, max(0.0, (room.free + room.ours - reserve) / room.total))


def cap(device: torch.device, log: LogTo) -> None:
    """To be called before each load, since other programs come and go. Does nothing but under WSL2 on a card."""
    if device.type != "cuda" or not is_wsl2(kernel_release()):
        return
    # Not what torch says: it counts what could be spilled as well.
    memory = memory_of(uuid_of(device))()
    if memory is None:
        log("warning", "NVML cannot be read, so nothing keeps the WSL2 driver from spilling into the host's memory")
        return
    allowed = share(Room(*memory, ours=torch.cuda.memory_reserved(device)))
    torch.cuda.set_per_process_memory_fraction(allowed, device)
    log("info", told(allowed, memory[1]))


def told(allowed: float, total: int) -> str:
    return (
        f"under WSL2 this process may take {allowed * total / 1e9:.1f} of the card's {total / 1e9:.1f} GB; "
        "beyond that the driver would spill into the host's memory"
    )
