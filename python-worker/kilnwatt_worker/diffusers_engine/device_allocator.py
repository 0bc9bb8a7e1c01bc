"""
Torch's allocator on a card. With segments that grow, batches of several sizes leave fewer holes in its memory.

The setting belongs to the process and can be changed while it runs; segments that are there stay as they are, so it
is set before anything of a model is brought to the card.
"""

import re
from collections.abc import Sequence

import torch

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings

PROBE_BYTES = 64 * 1024 * 1024

PINNED_EXACT_FROM_MB = 1
_PINNED = "pinned_max_round_threshold_mb"
_SETTING = re.compile(r",?\s*expandable_segments\s*:\s*(\w+)")


def apply(target: Target) -> None:
    wanted = target.preset.allocator == "expandable"
    if target.device.type != "cuda":
        _set(False)
        if wanted:
            target.downgrade("allocator", "default", "memory of the host is not cut by torch")
        return
    pin_exactly()
    _set(wanted)
    if wanted and not _has_grown(target.device):
        _set(False)
        target.downgrade("allocator", "default", "the driver gives no segments that grow")


def pin_exactly() -> None:
    """
    Blocks of pinned host memory are rounded up to a power of two: a T5 of 9.1 GiB took 12.5, the blocks of Flux 34
    instead of 22. From one MB on they are as large as what is in them, unless the environment says otherwise.
    """
    now = torch._C._accelerator_getAllocatorSettings()
    if _PINNED not in now:
        ours = f"{_PINNED}:{PINNED_EXACT_FROM_MB}"
        torch._C._accelerator_setAllocatorSettings(f"{now},{ours}" if now else ours)


def in_effect(_pipe: Pipeline) -> Settings:
    return {"allocator": _now()}


def _now() -> str:
    found = _SETTING.search(torch._C._accelerator_getAllocatorSettings())
    return "expandable" if found is not None and found[1] == "True" else "default"


def _set(expandable: bool) -> None:
    """What else the environment says of the allocator stays; torch would forget whatever is not said again."""
    if _now() == ("expandable" if expandable else "default"):
        return
    others = _SETTING.sub("", torch._C._accelerator_getAllocatorSettings()).strip(", ")
    ours = f"expandable_segments:{expandable}"
    torch._C._accelerator_setAllocatorSettings(f"{others},{ours}" if others else ours)


def _has_grown(device: torch.device) -> bool:
    """Where they cannot be had, as on some virtual machines, torch says so in a warning only, and goes on."""
    torch.cuda.empty_cache()
    probe = torch.empty(PROBE_BYTES, dtype=torch.uint8, device=device)
    segments = [
        (int(one["address"]), int(one["total_size"]), bool(one.get("is_expandable")))
        for one in torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
    ]
    grown = is_expandable(segments, probe.data_ptr())
    del probe
    return grown


def is_expandable(segments: Sequence[tuple[int, int, bool]], address: int) -> bool:
    """Of the segment that the address is in: others may be older than the setting. Each is start, bytes, whether so."""
    return any(grows for start, size, grows in segments if start <= address < start + size)
