"""How pictures are decoded: one by one, tile by tile."""

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings

TILE_PIXELS = 512


def apply(target: Target) -> None:
    vae = target.pipe.vae
    if target.preset.vae_slicing:
        vae.enable_slicing()
    if target.preset.vae_tiling:
        # Left alone, it tiles only above the size that the model was trained for, which is never.
        pixels = min(TILE_PIXELS, int(vae.config.sample_size))
        vae.enable_tiling()
        vae.tile_sample_min_size = pixels
        vae.tile_latent_min_size = pixels // int(target.pipe.vae_scale_factor)


def in_effect(pipe: Pipeline) -> Settings:
    tiled = bool(pipe.vae.use_tiling)
    return {
        "vae_slicing": bool(pipe.vae.use_slicing),
        "vae_tiling": tiled,
        "vae_tile_pixels": int(pipe.vae.tile_sample_min_size) if tiled else None,
    }
