"""
One LoRA file, read and compared with the model before anything of it is used.

The loaders of diffusers leave out what they do not know and tell a log at most, so that a picture without its LoRA
looks like one with it. Here every tensor of a file belongs to a layer of the model, or the file is refused.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from kilnwatt_worker.diffusers_engine.lora_shelf import Identity, Place
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.errors import BadRequest, WorkerError
from kilnwatt_worker.parts import LoraRef

_METADATA = "lora_adapter_metadata"

_DOWN = (".lora_A.weight", ".lora.down.weight", ".lora_linear_layer.down.weight")
_UP = (".lora_B.weight", ".lora.up.weight", ".lora_linear_layer.up.weight")

_PICKLE_ENDINGS = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
_PICKLE_STARTS = (b"PK\x03\x04", *(b"\x80" + bytes([protocol]) for protocol in range(2, 6)))

_CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq")
"""Ways to begin a training that leave other weights in the base than the model has."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What is added to a layer's weight is `up @ down * scale`."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float
    """Alpha by rank; 1 where the file says none."""

    @property
    def rank(self) -> int:
        return int(self.down.shape[0])


@dataclass(frozen=True, slots=True)
class LoraFile:
    path: str
    layers: Mapping[Place, Layer]

    @property
    def parts(self) -> frozenset[str]:
        return frozenset(part for part, _ in self.layers)


def identity_of(lora: LoraRef) -> Identity:
    """Raises WorkerError `lora_missing`."""
    try:
        found = Path(lora.path).stat()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WorkerError("lora_missing", f"the LoRA {lora.path} cannot be read ({reason}); put it back") from error
    return (lora.path, found.st_size, found.st_mtime_ns)


def read(lora: LoraRef, pipe: Pipeline) -> LoraFile:
    """Raises WorkerError `lora_unsafe`, `lora_broken`, and BadRequest for one that does not fit the model."""
    tensors, metadata = _tensors_of(lora.path)
    places: dict[Place, dict[str, str]] = {}
    strange = []
    known = dict(_layers_of(pipe))
    for key in tensors:
        place, kind = _place_of(key, known)
        if place is None:
            strange.append(key)
        else:
            places.setdefault(place, {})[kind] = key
    strange += [key for pair in places.values() if len(pair) == 1 for key in pair.values()]
    if strange or not tensors:
        raise _strange(lora.path, strange, len(tensors), pipe)
    config = _config_of(lora.path, metadata)
    layers = {
        place: Layer(tensors[pair["down"]], tensors[pair["up"]], _scale_of(config, place, tensors[pair["down"]]))
        for place, pair in places.items()
    }
    for place, layer in layers.items():
        if not _fits(layer, known[place]):
            raise BadRequest(
                f"{lora.path} was made for another model: its tensors for {'.'.join(place)} have the shapes "
                f"{tuple(layer.down.shape)} and {tuple(layer.up.shape)}, which do not fit that layer; leave it out"
            )
    return LoraFile(lora.path, layers)


def layer_at(pipe: Pipeline, place: Place) -> Pipeline:
    part, name = place
    return getattr(pipe, part).get_submodule(name)


def _tensors_of(path: str) -> tuple[dict[str, torch.Tensor], Mapping[str, str]]:
    if path.lower().endswith(_PICKLE_ENDINGS):
        raise _unsafe(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        with open(path, "rb") as raw:
            if raw.read(4).startswith(_PICKLE_STARTS):
                raise _unsafe(path) from error
        raise WorkerError(
            "lora_broken", f"the LoRA {path} is cut short or no safetensors file ({error}); fetch it again"
        ) from error
    except OSError as error:
        raise WorkerError("lora_missing", f"the LoRA {path} cannot be read ({error}); put it back") from error


def _unsafe(path: str) -> WorkerError:
    return WorkerError(
        "lora_unsafe",
        f"the LoRA {path} is a pickle, which may run any program when it is loaded; take its safetensors version",
    )


def _layers_of(pipe: Pipeline) -> Iterator[tuple[Place, torch.nn.Module]]:
    """All that a LoRA may change; a layer that carries LoRAs already counts under its own name."""
    for part in pipe._lora_loadable_modules:
        model = getattr(pipe, part, None)
        if isinstance(model, torch.nn.Module):
            for name, module in model.named_modules():
                layer = getattr(module, "base_layer", module)
                if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
                    yield (part, name), layer


def _place_of(key: str, known: Mapping[Place, torch.nn.Module]) -> tuple[Place | None, str]:
    for kind, endings in (("down", _DOWN), ("up", _UP)):
        for ending in endings:
            if key.endswith(ending):
                part, _, name = key.removesuffix(ending).partition(".")
                return next((place for place in _spellings(part, name) if place in known), None), kind
    return None, ""


def _spellings(part: str, name: str) -> tuple[Place, ...]:
    """transformers 5 has taken a level out of CLIP's names; files are from before and after that."""
    level = "text_model."
    return (part, name), (part, name.removeprefix(level)), (part, level + name)


def _strange(path: str, strange: list[str], total: int, pipe: Pipeline) -> BadRequest:
    if not total:
        return BadRequest(f"{path} holds no tensors; leave it out")
    return BadRequest(
        f"{path} cannot be used: {len(strange)} of its {total} tensors belong to no layer of this "
        f"{type(pipe).__name__}, the first is {min(strange)}; take a LoRA in diffusers' layout for this kind of model"
    )


def _config_of(path: str, metadata: Mapping[str, str]) -> Mapping[str, object]:
    if _METADATA not in metadata:
        return {}
    try:
        config: object = json.loads(metadata[_METADATA])
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise WorkerError("lora_broken", f"the LoRA {path} describes itself in no JSON object; fetch it again")
    for name, value in config.items():
        if name.endswith(".init_lora_weights") and str(value).startswith(_CHANGES_THE_BASE):
            raise BadRequest(f"{path} was trained on a base that {value} had changed; convert it to a plain LoRA")
    return config


def _scale_of(config: Mapping[str, object], place: Place, down: torch.Tensor) -> float:
    """As peft counts it: the most special pattern that a layer's name ends in, then the part's own alpha."""
    from peft.utils.other import get_pattern_key

    part, name = place
    patterns = config.get(f"{part}.alpha_pattern")
    alpha = config.get(f"{part}.lora_alpha")
    if isinstance(patterns, dict):
        alpha = patterns.get(get_pattern_key(list(patterns), name), alpha)
    rank = int(down.shape[0])
    if not isinstance(alpha, int | float):
        return 1.0
    return alpha / (math.sqrt(rank) if config.get(f"{part}.use_rslora") is True else rank)


def _fits(layer: Layer, module: torch.nn.Module) -> bool:
    """Asked of the module and not of its weight, which may be packed."""
    down, up = tuple(layer.down.shape), tuple(layer.up.shape)
    if isinstance(module, torch.nn.Conv2d):
        inner = (module.in_channels // module.groups, *module.kernel_size)
        return down[1:] == inner and up == (module.out_channels, down[0], 1, 1)
    assert isinstance(module, torch.nn.Linear)
    return down[1:] == (module.in_features,) and up == (module.out_features, down[0])
