"""What a loaded model is to the stages: the pipeline and the few facts they decide by."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch

from kilnwatt_worker.diffusers_engine.lora_shelf import LoraShelf
from kilnwatt_worker.parts import Downgrade, Preset, Settings

# diffusers has no types: the one Any of this adapter. Stages read attributes of it and hand on tensors.
Pipeline: TypeAlias = Any

Family: TypeAlias = Literal["sd", "sdxl", "flux", "other"]

FAMILIES: dict[str, Family] = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "FluxPipeline": "flux",
}


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    pipe: Pipeline
    family: Family
    device: torch.device
    scheduler_config: Mapping[str, object]
    """The model's own, from which each request's scheduler is built."""
    flow_matching: bool
    preset: Preset
    settings: Settings
    """In effect."""
    downgrades: tuple[Downgrade, ...]
    loras: LoraShelf = field(default_factory=LoraShelf)

    @property
    def size_multiple(self) -> int:
        """Flux packs its latents two by two."""
        factor = int(self.pipe.vae_scale_factor)
        return factor * 2 if self.family == "flux" else factor

    @property
    def takes_distilled_guidance(self) -> bool:
        return self.family == "flux" and bool(self.pipe.transformer.config.guidance_embeds)


def weights_of(pipe: Pipeline) -> dict[str, int]:
    """Bytes by part, wherever they are kept; what two names share is counted once."""
    return {
        name: sum({_identity(tensor): bytes_of(tensor) for tensor in _tensors_of(part)}.values())
        for name, part in pipe.components.items()
        if isinstance(part, torch.nn.Module)
    }


def bytes_of(tensor: torch.Tensor) -> int:
    """What it takes; a quantised one is a shell around others, or has some beside it."""
    parts: Pipeline = tensor
    if hasattr(tensor, "__tensor_flatten__"):
        return sum(bytes_of(getattr(parts, name)) for name in parts.__tensor_flatten__()[0])
    beside = getattr(parts, "quant_state", None)
    scales = [] if beside is None else [one for one in beside.as_dict().values() if isinstance(one, torch.Tensor)]
    return sum(one.numel() * one.element_size() for one in (tensor, *scales))


def _tensors_of(part: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Where accelerate streams weights in, modules hold stand-ins, and what they stand for is in its map."""
    for module in part.modules():
        kept = getattr(getattr(module, "_hf_hook", None), "weights_map", None)
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None:
                yield kept[name] if tensor.is_meta and kept is not None else tensor


def _identity(tensor: torch.Tensor) -> int:
    """Those of some packages have no data of their own that could be pointed at."""
    return tensor.data_ptr() or id(tensor)


def denoiser_of(pipe: Pipeline) -> Pipeline:
    unet = getattr(pipe, "unet", None)
    return unet if unet is not None else pipe.transformer
