"""What of a pipeline is on its device, and when."""

from collections.abc import Iterator
from contextlib import contextmanager

from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings


def apply(target: Target) -> None:
    """Afterwards the pipeline is on its device, or is brought there part by part during each call."""
    if target.preset.offload == "model" and target.device.type == "cuda":
        target.pipe.enable_model_cpu_offload(device=target.device)
        return
    target.pipe.to(target.device)
    if target.preset.offload != "none":
        target.downgrade("offload", "none", f"there is nothing to offload to from a {target.device.type}")


def in_effect(pipe: Pipeline) -> Settings:
    hooked = any(getattr(part, "_hf_hook", None) is not None for part in pipe.components.values())
    return {"offload": "model" if hooked else "none"}


@contextmanager
def encoders(loaded: LoadedPipeline) -> Iterator[None]:
    """Inside, the text encoders can be used; where they leave the device, that is at the end."""
    del loaded
    yield
