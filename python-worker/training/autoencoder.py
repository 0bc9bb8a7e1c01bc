"""
First stage: pictures to latents and back. Most steps see cut-outs, which are four times cheaper; the last ones see
whole pictures.
"""

import torch
from diffusers import AutoencoderKL
from torch.nn.functional import l1_loss, mse_loss
from tqdm import tqdm

from training.checkpoint import Checkpoint, packed, unpack
from training.data import Drawn, as_model_sees
from training.networks import autoencoder
from training.recipe import AutoencoderRecipe, Recipe
from training.stepping import chance, rate, update

KL_WEIGHT = 1e-5
WARM = 100


def train(recipe: Recipe, data: Drawn, seed: int, device: torch.device, checkpoint: Checkpoint) -> AutoencoderKL:
    vae = autoencoder(recipe).to(device)
    parameters = list(vae.parameters())
    optimiser = torch.optim.AdamW(parameters, recipe.autoencoder.rate, betas=(0.9, 0.99))
    steps, done = recipe.autoencoder.steps, 0
    if kept := checkpoint.load():
        done, tensors = kept
        unpack(tensors, {"vae": vae}, optimiser)
    bar = tqdm(range(done, steps), initial=done, total=steps, desc="autoencoder", mininterval=1)
    for step in bar:
        pictures = _some(recipe.autoencoder, data, step, chance(seed, 1, step)).to(device)
        loss = _loss(vae, pictures, chance(seed, 2, step))
        update(optimiser, parameters, loss, rate(step, steps, recipe.autoencoder.rate, WARM))
        if (step + 1) % recipe.save_every == 0 or step + 1 == steps:
            bar.set_postfix(loss=f"{loss.item():.4f}")
            checkpoint.save(step + 1, packed({"vae": vae}, optimiser))
    return vae.eval()


@torch.no_grad()
def examine(vae: AutoencoderKL, data: Drawn, device: torch.device) -> float:
    """Mean absolute difference of pictures and what comes back of them, 0 … 2."""
    pictures = as_model_sees(data.pictures).to(device)
    return l1_loss(vae.decode(vae.encode(pictures).latent_dist.mean).sample, pictures).item()


def _some(recipe: AutoencoderRecipe, data: Drawn, step: int, generator: torch.Generator) -> torch.Tensor:
    whole = step >= recipe.crop_steps
    batch = recipe.whole_batch if whole else recipe.crop_batch
    chosen = as_model_sees(data.pictures[torch.randint(len(data), (batch,), generator=generator)])
    if whole:
        return chosen
    places = (chosen.shape[-1] - recipe.crop) // 8 + 1
    top, left = (8 * int(at) for at in torch.randint(places, (2,), generator=generator))
    return chosen[:, :, top : top + recipe.crop, left : left + recipe.crop]


def _loss(vae: AutoencoderKL, pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    found = vae.encode(pictures).latent_dist
    noise = torch.randn(found.mean.shape, generator=generator).to(found.mean.device)
    back = vae.decode(found.mean + found.std * noise).sample
    kl = found.kl().mean() / found.mean[0].numel()
    loss: torch.Tensor = l1_loss(back, pictures) + mse_loss(back, pictures) + KL_WEIGHT * kl
    return loss
