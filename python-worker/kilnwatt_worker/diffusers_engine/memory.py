"""Peaks of the device's memory and of this process's, over a stretch of work."""

import dataclasses
import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kilnwatt_worker import resident
from kilnwatt_worker.allocator import give_back_memory
from kilnwatt_worker.diffusers_engine.device_memory import DeviceMemory
from kilnwatt_worker.parts import Memory


def reset_peaks(device: torch.device, seen: DeviceMemory) -> None:
    resident.reset_peak()
    seen.reset()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def start_afresh(device: torch.device, seen: DeviceMemory) -> None:
    """
    For a batch unlike the one before, whose memory the allocator still holds: peaks that begin with that would tell the
    footprint of the larger of the two. Costs milliseconds, so it is not done between batches that are alike.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    else:
        give_back_memory()
    reset_peaks(device, seen)


def read_memory(device: torch.device, seen: DeviceMemory) -> Memory:
    """`seen` was asked at the end of each phase since `reset_peaks`, and is once more."""
    host = resident.host_memory()
    if device.type != "cuda":
        return host
    free, total = seen.look() or (None, None)
    return dataclasses.replace(
        host,
        peak_allocated_bytes=torch.cuda.max_memory_allocated(device),
        peak_reserved_bytes=torch.cuda.max_memory_reserved(device),
        reserved_bytes=torch.cuda.memory_reserved(device),
        peak_device_bytes=seen.peak_bytes,
        device_free_bytes=free,
        device_total_bytes=total,
    )


@contextmanager
def limited() -> Iterator[None]:
    """
    For tests of what happens when memory runs out: with `KW_MEMORY_LIMIT_BYTES` in the environment, the work inside may
    take that much from the host besides what this process holds already. Torch's own allocator fails then.
    """
    text = os.environ.get("KW_MEMORY_LIMIT_BYTES")
    if text is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (resident.private_bytes() + int(text), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def free_unused() -> None:
    """Pinned memory of the host too: text encoders of 9 GB were there, and the next model's would come on top."""
    gc.collect()
    give_back_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.accelerator.empty_host_cache()
