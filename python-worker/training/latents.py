"""Between the stages: every picture as its latents, computed once, and the factor that gives them a spread of one."""

import torch
from diffusers import AutoencoderKL
from torch.nn.functional import max_pool2d
from tqdm import tqdm

from training.checkpoint import Checkpoint
from training.closeness import mask_of_things, widened
from training.data import Drawn, as_model_sees

BATCH = 8
"""What a layer leaves for the next one stays in the cache; with 50 at once, a CPU takes two to three times as long."""
AROUND = 1 / 32
"""Of the side: so far around a thing, a latent is still one of the thing."""


def latents_of(vae: AutoencoderKL, data: Drawn, device: torch.device, checkpoint: Checkpoint) -> torch.Tensor:
    """(n, 4, height, width), float32, not yet scaled; how much smaller than the pictures, the recipe says."""
    if kept := checkpoint.load():
        return kept[1]["latents"]
    starts = tqdm(range(0, len(data), BATCH), desc="latents", mininterval=1)
    latents = torch.cat([encoded(vae, data.pictures[start : start + BATCH], device) for start in starts])
    checkpoint.save(len(data), {"latents": latents})
    return latents


def weights_of(pictures: torch.Tensor, pixels: int) -> torch.Tensor:
    """
    (n, 1, height, width), of latents of `pixels` a side: what is off in each shall count for so much, 1 on average.
    Those of things and those of the background weigh the same together, in each picture by itself: a small thing has
    30 of 256, and of 320 such 29 were wrong where each latent weighed the same, 10 where they weigh so.
    """
    return torch.cat([_weights(some, pixels) for some in torch.split(pictures, BATCH)])


def _weights(pictures: torch.Tensor, pixels: int) -> torch.Tensor:
    things = max_pool2d(widened(mask_of_things(pictures), AROUND).float(), pixels)
    part = things.mean(dim=(2, 3), keepdim=True)
    return (things / part + (1 - things) / (1 - part)) / 2


def scaling_factor(latents: torch.Tensor) -> float:
    return round(1 / latents.std().item(), 5)


@torch.no_grad()
def encoded(vae: AutoencoderKL, pictures: torch.Tensor, device: torch.device) -> torch.Tensor:
    latents: torch.Tensor = vae.encode(as_model_sees(pictures).to(device)).latent_dist.mean
    return latents.cpu().contiguous()
