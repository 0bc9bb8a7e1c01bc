"""
The denoiser as TensorRT engines, by torch_tensorrt: opt-in, one fixed shape each, kept on disk.

An engine's number types are those of the model (TensorRT 11 knows no others), so float16 comes from the preset's dtype.
"""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine.device_errors import trial_error
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.extras import require
from kilnwatt_worker.sentences import first_line

Options: TypeAlias = dict[str, str | int | bool | Callable[..., object]]

BACKEND = "torch_tensorrt"
VARIABLE = "KILNWATT_ENGINE_CACHE"
CACHE_BYTES = 10 * 1000**3
"""Above this the oldest engines leave; they are kept without their weights."""


def refusal(target: Target) -> str | None:
    """
    Why it cannot be; None where it can. A whole denoiser is not tried, because building one takes minutes.

    Raises WorkerError `preset_package_missing`.
    """
    if target.device.type != "cuda":
        return "TensorRT needs an NVIDIA card"
    require("compile", "tensorrt", "tensorrt", "torch_tensorrt")
    try:
        importlib.import_module("torch_tensorrt")
        _try(target.device)
    except Exception as error:  # a stub, another TensorRT, a driver that is too old: each has errors of its own
        if trial_error(error, "trying TensorRT") is not None:
            raise
        return first_line(error)
    return None


def compile_whole(denoiser: Pipeline, device: torch.device) -> None:
    """Engines are built, or read from the folder, at the first call of a shape."""
    denoiser.compile(backend=BACKEND, fullgraph=True, dynamic=False, options=options(device))


def options(device: torch.device) -> Options:
    folder = cache_folder()
    return {
        "device": str(device),
        # A build that fails would otherwise leave plain code in its place without a word.
        "pass_through_build_failures": True,
        "truncate_double": True,
        "cache_built_engines": True,
        "reuse_cached_engines": True,
        # An engine is found by its graph alone, whichever model's weights it holds, and is then given these.
        "immutable_weights": False,
        "engine_cache_dir": str(folder),
        "engine_cache_size": CACHE_BYTES,
        "timing_cache_path": str(folder.with_name(f"{folder.name}-timing") / "timing.bin"),
    }


def cache_folder() -> Path:
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "kilnwatt" / "tensorrt"


def _try(device: torch.device) -> None:
    """An engine of one convolution: it shows that the libraries fit together and to the card."""
    small = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.SiLU()).to(device, torch.float16).eval()
    own: Options = {
        "device": str(device),
        "min_block_size": 1,
        "pass_through_build_failures": True,
    }
    with torch.no_grad():
        torch.compile(small, backend=BACKEND, fullgraph=True, dynamic=False, options=own)(
            torch.zeros(1, 4, 8, 8, device=device, dtype=torch.float16)
        )
