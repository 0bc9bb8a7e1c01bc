"""What this machine is, and what its card does with plain matrix products."""

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path

import torch

from kilnwatt_worker.diffusers_engine.device_uuid import uuid_of
from kilnwatt_worker.mfu import Arithmetic, peak_teraflops

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "peft", "torchao", "triton", "numpy", "nvidia-ml-py")


def machine_facts(device: torch.device) -> dict[str, object]:
    """The same on every start, so that a record can be continued."""
    card: dict[str, object] = {"name": f"CPU, {os.cpu_count()} cores"}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name = torch.cuda.get_device_name(device)
        card = {
            "name": name,
            "uuid": f"GPU-{uuid_of(device)}",
            "memory_bytes": properties.total_memory,
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "peak_teraflops": peak_teraflops(name, Arithmetic("bfloat16")),
            "cuda": torch.version.cuda,
            "driver": _driver(),
        }
    return {
        "card": card,
        "cores": os.cpu_count(),
        "host_memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name)) is not None},
    }


def commit_of(root: Path) -> str | None:
    """None where there is no git, or no history, as on a machine that was sent the files only."""
    try:
        command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def matrix_teraflops(device: torch.device, size: int = 8192, times: int = 10) -> float | None:
    """Of random bfloat16 matrices, which is what the peak comes down to in practice. None on a CPU."""
    if device.type != "cuda":
        return None
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        one @ other
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    for _ in range(times):
        one @ other
    torch.cuda.synchronize(device)
    return 2 * size**3 * times / (time.perf_counter() - started) / 1e12


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _driver() -> str | None:
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.splitlines()[0].strip() if ended.stdout.strip() else None
