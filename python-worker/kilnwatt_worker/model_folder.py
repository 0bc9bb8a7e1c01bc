"""
Judges a pipeline folder before anything of it is loaded: is it there, is it whole, is it safe?

Pickle files can run code when they are read, so weights must be safetensors; a folder that offers
only pickles is refused. Nothing here imports torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from kilnwatt_worker.errors import WorkerError

INDEX = "model_index.json"
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
VARIANT = "fp16"
# Components that are left out on purpose: pictures are neither judged here nor taken as prompts.
LEFT_OUT = ("safety_checker", "feature_extractor", "image_encoder")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    path: Path
    pipeline_class: str
    components: Mapping[str, tuple[str, str]]
    """Library and class by name."""
    variant: str | None
    """`fp16` when some component has its weights under that name only."""

    def variant_of(self, component: str) -> str | None:
        """As diffusers chooses: the variant, and plain weights where a component has no variant."""
        return self.variant if any(_is_variant(file) for file in (self.path / component).iterdir()) else None


def judge(path: str) -> ModelFolder:
    """Raises WorkerError `model_missing`, `model_broken` or `model_unsafe`."""
    folder = Path(path)
    if not folder.is_dir():
        raise WorkerError("model_missing", f"the model folder {path} does not exist; check --model")
    index = _index(folder)
    components = {
        name: (value[0], value[1]) for name, value in index.items() if _is_present(value) and name not in LEFT_OUT
    }
    only_variant = [_only_variant(folder / name) for name in components if _has_weights(folder, name, components[name])]
    pipeline_class = index.get("_class_name")
    if not isinstance(pipeline_class, str):
        raise WorkerError("model_broken", f"{folder / INDEX} names no pipeline class; fetch the model again")
    return ModelFolder(folder, pipeline_class, components, VARIANT if any(only_variant) else None)


def _index(folder: Path) -> dict[str, object]:
    file = folder / INDEX
    if not file.is_file():
        if not _weights(folder, (".safetensors",)) and _weights(folder, PICKLES):
            raise _unsafe(folder)
        raise WorkerError("model_broken", f"the model folder {folder} has no {INDEX}; it is not a diffusers pipeline")
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkerError("model_broken", f"{file} cannot be read: {error}") from error
    if not isinstance(index, dict):
        raise WorkerError("model_broken", f"{file} is not a JSON object; fetch the model again")
    return index


def _is_present(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)


def _has_weights(folder: Path, name: str, component: tuple[str, str]) -> bool:
    """Models have weights; tokenizers, processors, feature extractors and schedulers have settings only."""
    _, kind = component
    without = ("Tokenizer", "TokenizerFast", "Scheduler", "Processor", "Extractor", "ProcessorPil", "ProcessorFast")
    if not (folder / name).is_dir():
        raise WorkerError("model_broken", f"the model folder {folder} lacks its part {name}; fetch the model again")
    return not kind.endswith(without)


def _only_variant(component: Path) -> bool:
    """True when its only safetensors are those of the fp16 variant."""
    safe = _weights(component, (".safetensors",))
    if not safe:
        if _weights(component, PICKLES):
            raise _unsafe(component)
        raise WorkerError("model_broken", f"the model folder {component.parent} has no {component.name} weights")
    return all(_is_variant(file) for file in safe)


def _is_variant(file: Path) -> bool:
    return f".{VARIANT}" in file.name


def _weights(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return [file for file in folder.iterdir() if file.suffix in suffixes]


def _unsafe(folder: Path) -> WorkerError:
    return WorkerError(
        "model_unsafe",
        f"{folder} has pickle weights only, which can run code when they are read; get the model as safetensors",
    )
