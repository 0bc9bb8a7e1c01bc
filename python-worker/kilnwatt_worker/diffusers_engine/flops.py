"""
The denoiser's arithmetic, counted once for each shape by torch's own counter: 2 a multiply-add, attention included.

It is counted on a copy without memory (the meta device) that is built from the denoiser's config, so neither the device
nor the weights are touched, and nothing that was done to the denoiser (compiled, quantised, offloaded) changes it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from diffusers.models.attention_dispatch import attention_backend
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from kilnwatt_worker.diffusers_engine.encode import Conditioning
from kilnwatt_worker.diffusers_engine.pipeline import Family, LoadedPipeline, Pipeline, denoiser_of
from kilnwatt_worker.parts import Params

Sizes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Of the denoiser's tensor inputs, by name, for one row."""
Counts: TypeAlias = dict[tuple[str, str, str], float | None]


@dataclass(frozen=True, slots=True)
class FlopCounts:
    """What was counted in this process; kept over loads, since presets change none of it."""

    _by_shape: Counts = field(default_factory=dict)

    def of_row(
        self, loaded: LoadedPipeline, conditioning: Conditioning, params: Params, on_count: Callable[[], None]
    ) -> float | None:
        """
        TFLOP of one row's way through the denoiser; None for one that cannot be rebuilt without its weights.

        `on_count` is called before a shape is counted that was not seen before: that takes up to seconds.
        """
        sizes = _sizes(loaded, conditioning, params)
        if sizes is None:
            return None
        denoiser: Pipeline = denoiser_of(loaded.pipe)
        denoiser = getattr(denoiser, "_orig_mod", denoiser)
        key = (type(denoiser).__qualname__, _text(denoiser.config), _text(sizes))
        if key not in self._by_shape:
            on_count()
            self._by_shape[key] = _counted(denoiser, sizes)
        return self._by_shape[key]


def count(kind: Pipeline, config: Pipeline, sizes: Sizes) -> float:
    """TFLOP of one call of a class of diffusers, built from its config. Raises whatever that class raises."""
    with torch.device("meta"):
        model = kind.from_config(config)
        inputs = {name: torch.zeros(size) for name, size in sizes.items()}
    added = {name: inputs.pop(name) for name in ("text_embeds", "time_ids") if name in inputs}
    # Its own choice of attention may be one that needs the device; this one has the same arithmetic.
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), attention_backend("native"), sdpa_kernel(SDPBackend.MATH), counter:
        model(**inputs, **({"added_cond_kwargs": added} if added else {}))
    return float(counter.get_total_flops()) / 1e12


def unet_sizes(config: Pipeline, latents: tuple[int, int], tokens: int, width: int) -> Sizes:
    """`latents` are height and width; `tokens` and `width` those of the text."""
    return {
        "sample": (1, int(config["in_channels"]), *latents),
        "timestep": (1,),
        "encoder_hidden_states": (1, tokens, width),
    }


def flux_sizes(config: Pipeline, latents: tuple[int, int], tokens: int, width: int, pooled: int) -> Sizes:
    """`latents` as they are before Flux packs them two by two."""
    places = (latents[0] // 2) * (latents[1] // 2)
    guidance = {"guidance": (1,)} if config.get("guidance_embeds") else {}
    return {
        "hidden_states": (1, places, int(config["in_channels"])),
        "encoder_hidden_states": (1, tokens, width),
        "pooled_projections": (1, pooled),
        "timestep": (1,),
        "img_ids": (places, 3),
        "txt_ids": (tokens, 3),
        **guidance,
    }


def _counted(denoiser: Pipeline, sizes: Sizes) -> float | None:
    try:
        return count(type(denoiser), denoiser.config, sizes)
    except Exception:  # a class that wants what is not known here: it costs a figure, and not a batch
        return None


def _sizes(loaded: LoadedPipeline, conditioning: Conditioning, params: Params) -> Sizes | None:
    text = conditioning.get("prompt_embeds")
    if not isinstance(text, torch.Tensor) or loaded.family not in _OF_FAMILY:
        return None
    factor = int(loaded.pipe.vae_scale_factor)
    latents = (params.height // factor, params.width // factor)
    pooled = conditioning.get("pooled_prompt_embeds")
    summary = int(pooled.shape[-1]) if isinstance(pooled, torch.Tensor) else 0
    config = denoiser_of(loaded.pipe).config
    return _OF_FAMILY[loaded.family](config, latents, int(text.shape[1]), int(text.shape[2]), summary)


def _of_sd(config: Pipeline, latents: tuple[int, int], tokens: int, width: int, pooled: int) -> Sizes:
    del pooled
    return unet_sizes(config, latents, tokens, width)


def _of_sdxl(config: Pipeline, latents: tuple[int, int], tokens: int, width: int, pooled: int) -> Sizes:
    return {**unet_sizes(config, latents, tokens, width), "text_embeds": (1, pooled), "time_ids": (1, 6)}


_OF_FAMILY: Mapping[Family, Callable[[Pipeline, tuple[int, int], int, int, int], Sizes]] = {
    "sd": _of_sd,
    "sdxl": _of_sdxl,
    "flux": flux_sizes,
}


def _text(value: Mapping[str, object]) -> str:
    return json.dumps(dict(value), sort_keys=True, default=str)
