"""Third stage: latents to pictures, one at a time, so that memory and failures stay with one picture."""

import numpy
import torch
from PIL import Image

from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Params


@torch.no_grad()
def decode(loaded: LoadedPipeline, latents: torch.Tensor, params: Params) -> torch.Tensor:
    """
    One row of the latents as a picture, float32 on the CPU, 3 x height x width, from 0 to 1.

    Raises WorkerError `black_image` where the latents or the picture are not numbers.
    """
    if not bool(torch.isfinite(latents).all()):
        raise WorkerError("black_image", "the latents are not finite numbers; use a preset with another dtype")
    vae = loaded.pipe.vae
    # First the dtype, then the scale: a VAE in float32 behind half-precision latents must not inherit their rounding.
    unscaled = _unscaled(loaded, latents.unsqueeze(0).to(vae.dtype), params)
    decoded: torch.Tensor = vae.decode(unscaled, return_dict=False)[0][0].float()
    # Before clamping, which would make plain white or black of an infinity.
    if not bool(torch.isfinite(decoded).all()):
        raise WorkerError("black_image", "the decoded picture is not finite; use a preset with another dtype")
    return (decoded / 2 + 0.5).clamp(0, 1).cpu()


def to_picture(floats: torch.Tensor) -> Image.Image:
    """Eight bits a channel. Raises WorkerError `black_image` where every pixel is the same, whatever its colour."""
    pixels = (floats.permute(1, 2, 0).numpy() * 255).round().astype(numpy.uint8)
    first = pixels[0, 0]
    if bool((pixels == first).all()):
        colour = ", ".join(str(int(level)) for level in first)
        raise WorkerError("black_image", f"every pixel of the picture has the same colour, rgb({colour})")
    return Image.fromarray(pixels)


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
