"""The pipelines by name, each from its parts, its scheduler and a fixed seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from diffusers import (
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)

from tiny_models import parts
from tiny_models.vocabulary import clip_tokenizer, t5_tokenizer

SEED = 20_250_101
SD_NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


@dataclass(frozen=True)
class Recipe:
    """`folder` is the model's name, `about` the sentence that is printed, `own` what goes into `kilnwatt.json`."""

    folder: str
    about: str
    make: Callable[[], DiffusionPipeline]
    own: Mapping[str, object] | None = None


def make(recipe: Recipe) -> DiffusionPipeline:
    """The same weights on every call."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        pipeline = recipe.make()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def on_the_host(make: Callable[[], object]) -> object:
    """For schedulers, which compute with their numbers at once and so cannot begin on torch's device without data."""
    with torch.device("cpu"):
        return make()


def stable_diffusion(pixels: int, channels: tuple[int, ...], vae_channels: tuple[int, ...]) -> DiffusionPipeline:
    tokenizer = clip_tokenizer()
    return StableDiffusionPipeline(
        vae=parts.vae(4, pixels, vae_channels),
        text_encoder=parts.clip(tokenizer, 32),
        tokenizer=tokenizer,
        unet=parts.unet(pixels // parts.VAE_FACTOR, channels, 32, None),
        scheduler=PNDMScheduler(**SD_NOISE, skip_prk_steps=True, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl() -> DiffusionPipeline:
    tokenizer, tokenizer_2 = clip_tokenizer(), clip_tokenizer(pad="!")
    return StableDiffusionXLPipeline(
        vae=parts.vae(4, 64, (8, 8, 16, 16)),
        text_encoder=parts.clip(tokenizer, 32),
        text_encoder_2=parts.clip_with_projection(tokenizer_2, 32),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        unet=parts.unet(8, (16, 32), 64, 32),
        scheduler=on_the_host(lambda: EulerDiscreteScheduler(**SD_NOISE, timestep_spacing="leading")),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def flux() -> DiffusionPipeline:
    tokenizer, tokenizer_2 = clip_tokenizer(), t5_tokenizer()
    return FluxPipeline(
        vae=parts.vae(16, 64, (8, 8, 16, 16), packed=True),
        text_encoder=parts.clip(tokenizer, 32),
        text_encoder_2=parts.t5(tokenizer_2, 32),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        transformer=parts.flux_transformer(32, 32),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    )


RECIPES: Mapping[str, Recipe] = {
    "sd": Recipe(
        "tiny-sd", "Stable Diffusion 1.5's shape, 64x64", lambda: stable_diffusion(64, (16, 32), (8, 8, 16, 16))
    ),
    "sdxl": Recipe("tiny-sdxl", "SDXL's shape, 64x64", stable_diffusion_xl),
    # A Flux folder does not say its size; without this it would be taken for one of 1024 pixels.
    "flux": Recipe(
        "tiny-flux", "Flux dev's shape, 64x64", flux, own={"native_size": [64, 64], "defaults": {"steps": 8}}
    ),
    "bench-sd": Recipe(
        "bench-sd",
        "about a second for 20 steps on two cores, 256x256",
        lambda: stable_diffusion(256, (64, 128), (16, 16, 32, 32)),
    ),
}
TESTS = ("sd", "sdxl", "flux")
