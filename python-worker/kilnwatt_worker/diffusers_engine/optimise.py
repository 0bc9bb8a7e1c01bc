"""Applies a preset and reads back what came of it. A setting that cannot hold is a named downgrade, never silence."""

from collections.abc import Sequence

from kilnwatt_worker.diffusers_engine import (
    attention,
    buckets,
    compiled,
    device_allocator,
    layout,
    lora,
    placement,
    precision,
    prompt_cache,
    quantise,
    step_cache,
    tiny_decoder,
    vae,
)
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target, Technique
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Preset, Settings

TECHNIQUES: Sequence[Technique] = (
    device_allocator,
    tiny_decoder,
    precision,
    attention,
    quantise,
    vae,
    layout,
    placement,
    lora,
    step_cache,
    compiled,
    buckets,
    prompt_cache,
)
"""
As they are applied, one after the other: how the card's memory is cut, before anything is brought there; what decodes,
what changes weights and modules, then where they are, then compiling; what batches do comes last.
"""

DECIDED_HERE = "auto"


def apply(target: Target) -> Settings:
    """
    The settings in effect. Afterwards the pipeline is on its device, or is brought there part by part.

    Raises WorkerError `preset_not_in_effect` for a setting that neither holds nor was named as a downgrade.
    """
    for technique in TECHNIQUES:
        technique.apply(target)
    settings = settings_in_effect(target.pipe)
    _verify(target, settings)
    return settings


def settings_in_effect(pipe: Pipeline) -> Settings:
    """Read from the loaded modules, not from the preset."""
    found: Settings = {"scheduler": type(pipe.scheduler).__name__}
    for technique in TECHNIQUES:
        found.update(technique.in_effect(pipe))
    return found


def _verify(target: Target, settings: Settings) -> None:
    named = {downgrade.setting: downgrade.in_effect for downgrade in target.downgrades}
    for name, value in settings.items():
        asked = getattr(target.preset, name, None) if name in Preset.__dataclass_fields__ else None
        if isinstance(asked, tuple):
            asked = ",".join(str(one) for one in asked)
        if asked is None or asked in (value, DECIDED_HERE) or named.get(name) == str(value):
            continue
        raise WorkerError(
            "preset_not_in_effect",
            f"the preset {target.preset.name} asks for {name}={asked} and {value} is in effect; use another preset",
        )
