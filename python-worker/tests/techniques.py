"""A model with a preset, and what it makes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.engine import EngineFacts
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Params, Preset
from kilnwatt_worker.quality.compare import Picture
from tests.samples import FLUX_PARAMS, PARAMS, PRESET, Recorder, generate_of, item, load_of

BOX = Path(__file__).parents[1] / "models" / "kiln-shapes"
ALIKE_DB = 40.0
"""What techniques that promise the same picture keep to the plain pipeline."""


def preset_of(**settings: object) -> Preset:
    return replace(PRESET, **settings)  # type: ignore[arg-type]


def loaded_with(path: Path, **settings: object) -> LoadedPipeline:
    return load_pipeline(load_of(path, preset_of(**settings)), lambda _level, _message: None)


def engine_with(path: Path, **settings: object) -> tuple[DiffusersEngine, EngineFacts]:
    engine = DiffusersEngine()
    return engine, engine.load(load_of(path, preset_of(**settings)), lambda _level, _message: None)


def pipeline_in(engine: DiffusersEngine) -> LoadedPipeline:
    assert engine._loaded is not None
    return engine._loaded


def target_of(loaded: LoadedPipeline, path: Path, device: str = "cpu", **settings: object) -> Target:
    """For one technique alone. A card that is not there does no harm to what only asks for its kind."""
    preset = preset_of(**settings)
    return Target(loaded.pipe, preset, loaded.family, torch.device(device), path, lambda _level, _message: None)


def params_of(family: str, **changes: object) -> Params:
    return replace(FLUX_PARAMS if family == "flux" else PARAMS, **changes)  # type: ignore[arg-type]


def pictures_of(engine: DiffusersEngine, folder: Path, params: Params, prompts: Sequence[str]) -> list[Picture]:
    """Raises the first failure."""
    items = [item(number, folder / f"{number}.part", prompt=prompt) for number, prompt in enumerate(prompts)]
    generate = generate_of(items, params)
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    for failure in recorder.failures.values():
        raise failure
    return [np.asarray(Image.open(one.out).convert("RGB")) for one in items]


def only_downgrade(facts: EngineFacts) -> tuple[str, str, str]:
    [one] = facts.downgrades
    return one.setting, one.asked, one.in_effect


def code_of(error: BaseException) -> str:
    assert isinstance(error, WorkerError)
    return error.code
