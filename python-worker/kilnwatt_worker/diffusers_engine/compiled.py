"""
The denoiser as compiled code: as a whole, or each of its repeated blocks.

Nothing is compiled before a batch brings a shape; `compile_watch` tells when. Whether it can be done at all is tried at
load, with few latents, so that a host without a compiler or a denoiser that is no single graph is a named downgrade.
"""

import inspect
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch

from kilnwatt_worker.diffusers_engine import compile_trial, tensorrt
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings

CUDA_GRAPHS = ("reduce-overhead", "max-autotune")
"""Modes that record the card's work once and replay it."""
MOST_GRAPHS = 1024
"""Of one function: dynamo counts all blocks of a model as one, and gives up above 8 of its own accord."""


def apply(target: Target) -> None:
    preset = target.preset
    if preset.compile == "none":
        return
    _prepare()
    denoiser = denoiser_of(target.pipe)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what torch imports for it, which nobody here can change
        reason = tensorrt.refusal(target) if preset.compile == "tensorrt" else compile_trial.refusal(target)
    forget()
    if reason is not None:
        target.downgrade("compile", "none", reason)
        if preset.compile_mode != "default":
            target.downgrade("compile_mode", "default", reason)
        return
    if preset.compile == "tensorrt":
        tensorrt.compile_whole(denoiser, target.device)
    else:
        # Fixed shapes are faster, and CUDA graphs have no others; without buckets one graph serves all batch sizes.
        fixed = bool(preset.buckets) or preset.compile_mode in CUDA_GRAPHS
        options = {
            "fullgraph": compile_trial.one_graph(preset),
            "mode": preset.compile_mode,
            "dynamic": False if fixed else None,
        }
        compile_trial.compile_as(preset.compile, denoiser, options)
    target.pipe.compiled_shapes = set()


def in_effect(pipe: Pipeline) -> Settings:
    denoiser = denoiser_of(pipe)
    whole = _backend(denoiser)
    blocks = [_backend(block) for block in compile_trial.repeated_blocks(denoiser)]
    backend = whole or next((block for block in blocks if block is not None), None)
    if backend is None:
        return {"compile": "none", "compile_mode": "default"}
    how = _how(whole) if whole is not None else "regional" if all(blocks) else "regional in part"
    return {"compile": how, "compile_mode": _mode(backend)}


def graphs() -> int:
    """Compiled so far in this process, those of the trial at load among them."""
    found = sys.modules.get("torch._dynamo.utils")
    return 0 if found is None else int(found.counters["stats"]["unique_graphs"])


def forget() -> None:
    """Frees what was compiled, with the memory that CUDA graphs hold. For when nothing that is compiled is in use."""
    if graphs():
        torch._dynamo.reset()


def start_over(pipe: Pipeline) -> None:
    """
    For a change of the denoiser that compiled code does not survive: every shape is a new one afterwards. Without it
    torch keeps a few versions, and then refuses to compile another one.
    """
    denoiser = denoiser_of(pipe)
    if any(module._compiled_call_impl is not None for module in denoiser.modules()):
        torch._dynamo.reset()
        pipe.compiled_shapes = set()


def _prepare() -> None:
    """Process-wide, and of no effect on what is not compiled. The folder is one that outlasts the next boot."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path.home() / ".cache" / "kilnwatt" / "inductor"))
    torch._dynamo.config.recompile_limit = MOST_GRAPHS
    torch._dynamo.config.accumulated_recompile_limit = MOST_GRAPHS


def _backend(module: Pipeline) -> Pipeline | None:
    """What torch.compile was given for the module, found in the function that it left there; None where it was not."""
    if module._compiled_call_impl is None:
        return None
    found = inspect.getclosurevars(module._compiled_call_impl).nonlocals["callback"]
    while (inner := getattr(found, "_torchdynamo_orig_backend", None)) is not None:
        found = inner
    return found


def _how(backend: Pipeline) -> str:
    return {"inductor": "full", tensorrt.BACKEND: "tensorrt"}.get(backend.compiler_name, str(backend.compiler_name))


def _mode(backend: Pipeline) -> str:
    """Read from the options that the mode stands for."""
    options: Mapping[str, object] = getattr(backend, "config", {})
    known = torch._inductor.list_mode_options()
    return next((mode for mode, those in known.items() if those == options), "unknown")
