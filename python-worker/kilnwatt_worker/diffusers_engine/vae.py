"""How pictures are decoded: some together or one by one, whole or tile by tile."""

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings

TILE_PIXELS = 512
"""Of a side. What is decoded at once, be it a tile or several pictures, takes no more memory than such a picture."""


def apply(target: Target) -> None:
    vae = target.pipe.vae
    if target.preset.vae_slicing:
        vae.enable_slicing()
    if target.preset.vae_tiling:
        # Left alone, it tiles only above the size that the model was trained for, which is never.
        pixels = min(TILE_PIXELS, int(getattr(vae.config, "sample_size", None) or TILE_PIXELS))
        vae.enable_tiling()
        vae.tile_sample_min_size = pixels
        vae.tile_latent_min_size = pixels // int(target.pipe.vae_scale_factor)


def in_effect(pipe: Pipeline) -> Settings:
    """`decode` asks the VAE too whether it slices."""
    pixels = _tile_pixels(pipe)
    return {
        "vae_slicing": bool(pipe.vae.use_slicing),
        "vae_tiling": pixels is not None,
        "vae_tile_pixels": pixels,
    }


def _tile_pixels(pipe: Pipeline) -> int | None:
    """None also for a VAE that tiles only above a size that nobody asks for."""
    pixels = int(pipe.vae.tile_latent_min_size) * int(pipe.vae_scale_factor)
    return pixels if pipe.vae.use_tiling and pixels <= TILE_PIXELS else None
