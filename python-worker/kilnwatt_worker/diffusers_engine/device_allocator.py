"""
Torch's allocator on a card. With segments that grow, batches of several sizes leave fewer holes in its memory.

The setting belongs to the process and can be changed while it runs; segments that are there stay as they are, so it
is set before a model is brought to the card.
"""

import re

import torch

from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings

PROBE_BYTES = 64 * 1024 * 1024

_SETTING = re.compile(r",?\s*expandable_segments\s*:\s*(\w+)")


def apply(target: Target) -> None:
    wanted = target.preset.allocator == "expandable"
    if target.device.type != "cuda":
        _set(False)
        if wanted:
            target.downgrade("allocator", "default", "memory of the host is not cut by torch")
        return
    _set(wanted)
    if wanted and not _has_grown(target.device):
        _set(False)
        target.downgrade("allocator", "default", "the driver gives no segments that grow")


def in_effect() -> Settings:
    found = _SETTING.search(torch._C._accelerator_getAllocatorSettings())
    return {"allocator": "expandable" if found is not None and found[1] == "True" else "default"}


def _set(expandable: bool) -> None:
    """What else the environment says of the allocator stays; torch would forget whatever is not said again."""
    if in_effect()["allocator"] == ("expandable" if expandable else "default"):
        return
    others = _SETTING.sub("", torch._C._accelerator_getAllocatorSettings()).strip(", ")
    ours = f"expandable_segments:{expandable}"
    torch._C._accelerator_setAllocatorSettings(f"{others},{ours}" if others else ours)


def _has_grown(device: torch.device) -> bool:
    """Where they cannot be had, as on some virtual machines, torch says so in a warning only, and goes on."""
    torch.cuda.empty_cache()
    probe = torch.empty(PROBE_BYTES, dtype=torch.uint8, device=device)
    segments = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
    del probe
    return any(segment.get("is_expandable") for segment in segments if segment["device"] == _index(device))


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index
