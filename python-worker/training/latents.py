"""Between the stages: every picture as its latents, computed once, and the factor that gives them a spread of one."""

import torch
from diffusers import AutoencoderKL
from tqdm import tqdm

from training.checkpoint import Checkpoint
from training.data import Drawn, as_model_sees

BATCH = 50


def latents_of(vae: AutoencoderKL, data: Drawn, device: torch.device, checkpoint: Checkpoint) -> torch.Tensor:
    """(n, 4, height, width), float32, not yet scaled; how much smaller than the pictures, the recipe says."""
    if kept := checkpoint.load():
        return kept[1]["latents"]
    starts = tqdm(range(0, len(data), BATCH), desc="latents", mininterval=1)
    latents = torch.cat([encoded(vae, data.pictures[start : start + BATCH], device) for start in starts])
    checkpoint.save(len(data), {"latents": latents})
    return latents


def scaling_factor(latents: torch.Tensor) -> float:
    return round(1 / latents.std().item(), 5)


@torch.no_grad()
def encoded(vae: AutoencoderKL, pictures: torch.Tensor, device: torch.device) -> torch.Tensor:
    latents: torch.Tensor = vae.encode(as_model_sees(pictures).to(device)).latent_dist.mean
    return latents.cpu().contiguous()
