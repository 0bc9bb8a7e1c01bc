"""
What of a pipeline is on its device, and when.

With `text_encoders` those leave between batches. With `group` nothing but the VAE is ever there in whole: the blocks of
the denoiser and the layers of the text encoders stream in, each while the one before it works. `model` and `sequential`
are accelerate's, which fetch all weights again for every batch, or every step.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from accelerate import cpu_offload  # type: ignore[import-untyped]
from accelerate.hooks import AlignDevicesHook, CpuOffload  # type: ignore[import-untyped]
from diffusers.hooks import apply_group_offloading
from diffusers.hooks.group_offloading import _is_group_offload_enabled

from kilnwatt_worker.diffusers_engine.parked import is_parkable, park, parked
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.rereading import weights_again
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Settings

_OF_A_CARD = ("model", "sequential")
_SINGLE_BLOCKS = ("mid_block",)
"""Of UNets: not one of a list, so that without being named it would go back and forth at every step, unstreamed."""


def apply(target: Target) -> None:
    """Afterwards the pipeline is on its device, or is brought there part by part during each call."""
    asked = target.preset.offload
    on_card = target.device.type == "cuda"
    if asked in _OF_A_CARD and not on_card:
        target.downgrade("offload", "none", "there is nothing to offload to on a CPU")
        asked = "none"
    if asked in ("text_encoders", "group"):
        _check_parkable(target)
    place(target, asked)


def in_effect(pipe: Pipeline) -> Settings:
    return {"offload": next((name for name, holds in _SIGNS.items() if holds(pipe)), "none")}


def place(target: Target, offload: str, as_on_a_card: bool | None = None) -> None:
    """Without judging whether that is of any use on this device. Unless told, a card is treated as one."""
    pipe, device = target.pipe, target.device
    on_card = device.type == "cuda" if as_on_a_card is None else as_on_a_card
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        for part in _modules(pipe).values():
            cpu_offload(part, device, offload_buffers=len(part._parameters) > 0)
    elif offload == "none":
        pipe.to(device)
    else:
        for name, part in _modules(pipe).items():
            is_encoder = name in _encoders(pipe)
            if offload == "group" and (is_encoder or part is denoiser_of(pipe)):
                _stream(part, device, "leaf_level" if is_encoder else "block_level", on_card)
            elif is_encoder:
                again = partial(weights_again, target, name, type(part), part.dtype)
                park(part, device, None if on_card else again)
            else:
                part.to(device)


@contextmanager
def encoders(loaded: LoadedPipeline) -> Iterator[None]:
    """Inside, the text encoders can be used; where they leave the device, that is at the end."""
    # The VAE of the batch before is still there. Without hooks of the whole model this does nothing.
    loaded.pipe.maybe_free_model_hooks()
    try:
        yield
    finally:
        for part in _encoders(loaded.pipe).values():
            hook = parked(part)
            if hook is not None:
                hook.leave(part)


def _stream(part: Pipeline, device: torch.device, level: str, on_card: bool) -> None:
    """By layer where blocks lie too deep to be found; adding LoRAs takes hooks that begin at the part itself."""
    apply_group_offloading(
        part,
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type=level,
        num_blocks_per_group=1,
        non_blocking=on_card,
        use_stream=on_card,
        record_stream=on_card,
        block_modules=[name for name in _SINGLE_BLOCKS if hasattr(part, name)],
    )


def _check_parkable(target: Target) -> None:
    for name, part in _encoders(target.pipe).items():
        if not is_parkable(part):
            raise _impossible(target, f"the quantised weights of {name} cannot leave; use quantize_text=none")


def _impossible(target: Target, reason: str) -> WorkerError:
    return WorkerError(
        "preset_impossible",
        f"offload={target.preset.offload} of the preset {target.preset.name} cannot be: {reason}",
    )


def _modules(pipe: Pipeline) -> dict[str, Pipeline]:
    return {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}


def _encoders(pipe: Pipeline) -> dict[str, Pipeline]:
    return {name: part for name, part in _modules(pipe).items() if name.startswith("text_encoder")}


def _is_sequential(pipe: Pipeline) -> bool:
    return all(
        any(isinstance(getattr(leaf, "_hf_hook", None), AlignDevicesHook) and leaf._hf_hook.offload for leaf in leaves)
        for leaves in (list(part.modules()) for part in _modules(pipe).values())
    )


def _is_by_model(pipe: Pipeline) -> bool:
    """Each part: one that accelerate leaves out, as it does some that are quantised, would stay on the card."""
    return all(isinstance(getattr(part, "_hf_hook", None), CpuOffload) for part in _modules(pipe).values())


def _is_streamed(pipe: Pipeline) -> bool:
    parts = [denoiser_of(pipe), *_encoders(pipe).values()]
    return all(_is_group_offload_enabled(part) for part in parts)


def _are_encoders_away(pipe: Pipeline) -> bool:
    hooks = [parked(part) for part in _encoders(pipe).values()]
    return hooks != [] and all(hook is not None and hook.away for hook in hooks)


_SIGNS: Mapping[str, Callable[[Pipeline], bool]] = {
    "sequential": _is_sequential,
    "model": _is_by_model,
    "group": _is_streamed,
    "text_encoders": _are_encoders_away,
}
"""What each leaves behind in the modules."""
