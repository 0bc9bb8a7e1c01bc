"""Data types of the parts, and how exactly the card multiplies."""

import torch

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings


def apply(target: Target) -> None:
    vae = target.pipe.vae
    if target.preset.vae_dtype == "float32":
        vae.to(dtype=torch.float32)
    # The first alone says little, since it is the default of every VAE; pipelines that read it have the second.
    elif vae.dtype == torch.float16 and vae.config.force_upcast and hasattr(target.pipe, "upcast_vae"):
        # It overflows in float16. Once here, instead of there and back on every call.
        vae.to(dtype=torch.float32)


def in_effect(pipe: Pipeline) -> Settings:
    return {"dtype": _name(denoiser_of(pipe)), "vae_dtype": _name(pipe.vae)}


def _name(module: Pipeline) -> str:
    return str(module.dtype).removeprefix("torch.")
