"""This process's memory, read from the kernel."""

import resource
from pathlib import Path

from kilnwatt_worker.energy import Energy
from kilnwatt_worker.parts import Memory

NO_ENERGY = Energy(millijoules=None, meter="none", method="unknown", flags=(), bound_mj=None, window=None)

_STATUS = Path("/proc/self/status")
_PAGES = Path("/proc/self/statm")
_CLEAR = Path("/proc/self/clear_refs")


def rss_bytes() -> int:
    return _status_bytes("VmRSS")


def peak_rss_bytes() -> int:
    """Since `reset_peak`, where the kernel permits that; else since the process began."""
    try:
        return _status_bytes("VmHWM")
    except OSError:  # sandboxes that imitate a kernel leave it out
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def anonymous_bytes() -> int:
    """Without the pages of mapped files, as weights are, which the kernel drops when others need the memory."""
    resident, shared = (int(pages) for pages in _PAGES.read_text().split()[1:3])
    return (resident - shared) * resource.getpagesize()


def private_bytes() -> int:
    """Writable memory that is this process's own, touched or not: what the kernel holds against RLIMIT_DATA."""
    return _status_bytes("VmData")


def reset_peak() -> bool:
    """False in a sandbox that forbids it; then peaks only grow, which is the safe side."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def host_memory() -> Memory:
    return Memory(
        peak_allocated_bytes=None,
        peak_reserved_bytes=None,
        reserved_bytes=None,
        peak_device_bytes=None,
        device_free_bytes=None,
        device_total_bytes=None,
        rss_bytes=rss_bytes(),
        peak_rss_bytes=peak_rss_bytes(),
        anonymous_bytes=anonymous_bytes(),
    )


def _status_bytes(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise OSError(f"{_STATUS} has no line {name}")
