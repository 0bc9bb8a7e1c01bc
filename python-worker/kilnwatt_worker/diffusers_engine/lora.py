"""LoRAs, changed from batch to batch while the base stays loaded."""

from collections.abc import Sequence

from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.engine import LogTo
from kilnwatt_worker.errors import BadRequest
from kilnwatt_worker.parts import LoraRef, Settings


def apply(target: Target) -> None:
    """Makes room for LoRAs that are swapped in later; before the denoiser is compiled."""
    del target


def in_effect(pipe: Pipeline) -> Settings:
    del pipe
    return {}


def use(loaded: LoadedPipeline, loras: Sequence[LoraRef], log: LogTo) -> None:
    """Exactly these are in effect afterwards. Raises WorkerError for a file that cannot be used, and then none is."""
    del loaded, log
    if loras:
        raise BadRequest("LoRAs cannot be used yet; leave them out")
