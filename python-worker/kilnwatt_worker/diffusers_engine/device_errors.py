"""
What torch raises when a device gives up, as one of two errors: out of memory, or lost.

torch has a class for few of these; the others are told apart by their text. A kernel that failed leaves the
context of the process unusable: from then on every call fails, and only another process can use the card.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kilnwatt_worker.errors import DeviceLost, OutOfMemory, WorkerError
from kilnwatt_worker.sentences import first_line

_HOST_MEMORY = re.compile("DefaultCPUAllocator|could not create a primitive(?! descriptor)")
"""Torch's allocator, and oneDNN, which says no more than that."""
# The libraries' own allocations fail without the word memory, and cuDNN only finds "no engine" that fits.
_GPU_MEMORY = (
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "Unable to find an engine to execute",
)
_LOST = ("CUDA error", "CUDNN_STATUS", "cuDNN error")
_NOT_BUILT = (
    "no kernel image is available",
    "invalid device function",
    "operation not supported",
    "unsupported toolchain",
    "STATUS_NOT_SUPPORTED",
    "STATUS_ARCH_MISMATCH",
)
"""What was never started has harmed nothing: the device is as good as before."""


@contextmanager
def device_told(what: str) -> Iterator[None]:
    """Raises OutOfMemory or DeviceLost for the device's errors; others pass as they are."""
    try:
        yield
    except RuntimeError as error:
        told = device_error(error, what)
        if told is None:
            raise
        raise told from error


def device_error(error: Exception, what: str) -> WorkerError | None:
    """None for an error that says nothing about a device."""
    if not isinstance(error, RuntimeError):
        return None
    text = str(error)
    if _HOST_MEMORY.search(text):
        return OutOfMemory(f"the host, while {what},")
    if isinstance(error, torch.OutOfMemoryError) or any(mark in text for mark in _GPU_MEMORY):
        return OutOfMemory(f"the GPU, while {what},")
    if isinstance(error, torch.AcceleratorError) or any(mark in text for mark in _LOST):
        return DeviceLost(what, first_line(error))
    return None


def trial_error(error: Exception, what: str) -> WorkerError | None:
    """As `device_error`; but that something is not built for this card is just what a trial is to find out."""
    told = device_error(error, what)
    is_refusal = isinstance(told, DeviceLost) and any(mark in str(error) for mark in _NOT_BUILT)
    return None if is_refusal else told
