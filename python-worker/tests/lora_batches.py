"""Batches with LoRAs, as far as their latents, and the same with weights that the LoRAs were merged into."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine import lora
from kilnwatt_worker.diffusers_engine.denoise import denoise
from kilnwatt_worker.diffusers_engine.encode import encode
from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import LoraRef
from tests.lora_files import Lora, merge
from tests.samples import FLUX_PARAMS, PARAMS, PRESET, item, load_of

TOLERANCE = 1e-3


def loaded_of(path: Path, **preset: object) -> LoadedPipeline:
    changed = replace(PRESET, **preset)  # type: ignore[arg-type]
    return load_pipeline(load_of(path, changed), lambda _level, _message: None)


def ref(made: Lora, weight: float = 1.0) -> LoraRef:
    return LoraRef(made.path.stem, str(made.path), weight)


def latents(loaded: LoadedPipeline, loras: Sequence[LoraRef] = ()) -> torch.Tensor:
    """What a batch with these LoRAs comes to before it is decoded."""
    lora.use(loaded, loras, lambda _level, _message: None)
    params = replace(FLUX_PARAMS if loaded.family == "flux" else PARAMS, steps=2)
    items = [item(number) for number in range(2)]
    return denoise(loaded, encode(loaded, items, params), params, [one.seed for one in items], lambda _step, _of: None)


def merged(path: Path, *loras: tuple[Lora, float]) -> torch.Tensor:
    loaded = loaded_of(path)
    merge(loaded.pipe, loras)
    return latents(loaded)


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def refused(loaded: LoadedPipeline, *loras: LoraRef) -> tuple[str, str]:
    with pytest.raises(WorkerError) as refusal:
        lora.use(loaded, loras, lambda _level, _message: None)
    assert not refusal.value.retryable
    return refusal.value.code, refusal.value.message
