"""
Third stage: latents to pictures. Failures stay with one picture.

Pictures are decoded together only while they are small: there a batch takes less time (four of 64x64 half of it, four
of 128x128 a fifth less, measured on two cores), and no more memory than one of the size of a tile. From 256x256 on
nothing was gained, and at 1024x1024 four together take four times the memory of one.
"""

from collections.abc import Iterator

import numpy
import torch
from PIL import Image

from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline
from kilnwatt_worker.diffusers_engine.vae import TILE_PIXELS
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Params


def portions(loaded: LoadedPipeline, params: Params, rows: int) -> Iterator[slice]:
    """Which rows are decoded together. A VAE that slices would take them one by one anyway, so each is one."""
    together = 1 if loaded.pipe.vae.use_slicing else max(1, TILE_PIXELS**2 // (params.width * params.height))
    return (slice(start, min(start + together, rows)) for start in range(0, rows, together))


@torch.no_grad()
def decode(loaded: LoadedPipeline, latents: torch.Tensor, params: Params) -> list[torch.Tensor | WorkerError]:
    """
    Each row of the latents as a picture, float32 on the CPU, 3 x height x width, from 0 to 1; or as the WorkerError
    `black_image`, where the latents or the picture are not numbers.
    """
    vae = loaded.pipe.vae
    finite = [bool(torch.isfinite(row).all()) for row in latents]
    if not any(finite):
        return [_black("the latents are not finite numbers") for _ in finite]
    # First the dtype, then the scale: a VAE in float32 behind half-precision latents must not inherit their rounding.
    unscaled = _unscaled(loaded, latents[finite].to(vae.dtype), params)
    decoded = iter(vae.decode(unscaled, return_dict=False)[0].float())
    return [_told(next(decoded)) if is_finite else _black("the latents are not finite numbers") for is_finite in finite]


def to_picture(floats: torch.Tensor) -> Image.Image:
    """Eight bits a channel. Raises WorkerError `black_image` where every pixel is the same, whatever its colour."""
    pixels = (floats.permute(1, 2, 0).numpy() * 255).round().astype(numpy.uint8)
    first = pixels[0, 0]
    if bool((pixels == first).all()):
        colour = ", ".join(str(int(level)) for level in first)
        raise WorkerError("black_image", f"every pixel of the picture has the same colour, rgb({colour})")
    return Image.fromarray(pixels)


def _told(decoded: torch.Tensor) -> torch.Tensor | WorkerError:
    # Before clamping, which would make plain white or black of an infinity.
    if not bool(torch.isfinite(decoded).all()):
        return _black("the decoded picture is not finite")
    return (decoded / 2 + 0.5).clamp(0, 1).cpu()


def _black(what: str) -> WorkerError:
    return WorkerError("black_image", f"{what}; use a preset with another dtype")


def _unscaled(loaded: LoadedPipeline, latents: torch.Tensor, params: Params) -> torch.Tensor:
    """As each pipeline does at its end."""
    config = loaded.pipe.vae.config
    if loaded.family == "flux":
        latents = loaded.pipe._unpack_latents(latents, params.height, params.width, loaded.pipe.vae_scale_factor)
    mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    scale = float(config.scaling_factor)
    if mean is not None and std is not None:
        return latents * _channels(std, latents) / scale + _channels(mean, latents)
    return latents / scale + float(getattr(config, "shift_factor", None) or 0.0)


def _channels(values: list[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, device=like.device, dtype=like.dtype).view(1, -1, 1, 1)
