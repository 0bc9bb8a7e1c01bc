"""
First stage: pictures to latents and back. Most steps see cut-outs, which are four times cheaper; the last ones see
whole pictures.
"""

import torch
from diffusers import AutoencoderKL
from torch.nn.functional import l1_loss, mse_loss

from training.checkpoint import Checkpoint
from training.cut_outs import cut
from training.data import Drawn, as_model_sees
from training.networks import autoencoder
from training.recipe import Recipe
from training.stepping import Lesson, chance, learn

KL_WEIGHT = 1e-5
WARM = 100
GRID = 8
"""Cut-outs begin at multiples of so many pixels."""


def train(recipe: Recipe, data: Drawn, seed: int, device: torch.device, checkpoint: Checkpoint) -> AutoencoderKL:
    vae = autoencoder(recipe).to(device)
    plan, peak = recipe.autoencoder.cut_outs, recipe.autoencoder.rate
    parameters = list(vae.parameters())
    optimiser = torch.optim.AdamW(parameters, peak, betas=(0.9, 0.99))

    def loss_of(step: int) -> torch.Tensor:
        part = cut(plan, len(data), recipe.side, GRID, step, chance(seed, 1, step))
        return _loss(vae, as_model_sees(part.of(data.pictures)).to(device), chance(seed, 2, step))

    lesson = Lesson("autoencoder", {"vae": vae}, parameters, optimiser, plan.steps, peak, WARM, recipe.save_every)
    learn(lesson, checkpoint, loss_of)
    return vae.eval()


@torch.no_grad()
def examine(vae: AutoencoderKL, data: Drawn, device: torch.device) -> float:
    """Mean absolute difference of pictures and what comes back of them, 0 … 2."""
    pictures = as_model_sees(data.pictures).to(device)
    return l1_loss(vae.decode(vae.encode(pictures).latent_dist.mean).sample, pictures).item()


def _loss(vae: AutoencoderKL, pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    found = vae.encode(pictures).latent_dist
    noise = torch.randn(found.mean.shape, generator=generator).to(found.mean.device)
    back = vae.decode(found.mean + found.std * noise).sample
    kl = found.kl().mean() / found.mean[0].numel()
    loss: torch.Tensor = l1_loss(back, pictures) + mse_loss(back, pictures) + KL_WEIGHT * kl
    return loss
