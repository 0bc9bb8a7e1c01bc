"""
First stage: pictures to latents and back.

The channels of the latents are held to a mean of 0, a variance of 1 and no correlation, in place of the usual penalty
(KL), which holds each of them near a normal distribution but not apart from the others: with it two of four came out
with a thousandth of the variance of the rest, and that is where the shapes were. It is also learnt in half the steps.
"""

import torch
from diffusers import AutoencoderKL
from torch.nn.functional import l1_loss

from training.checkpoint import Checkpoint
from training.closeness import difference
from training.cut_outs import cut
from training.data import Drawn, as_model_sees
from training.networks import NOISE_OF_LATENTS, autoencoder
from training.recipe import Recipe, steps_of
from training.stepping import Lesson, Lot, chance, learn

APART_WEIGHT = 0.1
WARM = 100


def train(recipe: Recipe, data: Drawn, seed: int, device: torch.device, checkpoint: Checkpoint) -> AutoencoderKL:
    vae = autoencoder(recipe).to(device)
    stretches, peak = recipe.autoencoder.stretches, recipe.autoencoder.rate
    parameters = list(vae.parameters())
    optimiser = torch.optim.Adam(parameters, peak, betas=(0.9, 0.99))

    def loss_of(step: int) -> torch.Tensor:
        some = cut(stretches, data.pictures, step, chance(seed, Lot.CUT_OUTS, step))
        return loss_on(
            vae, as_model_sees(some.pictures).to(device), some.mask.to(device), chance(seed, Lot.BLUNDER, step)
        )

    steps = steps_of(stretches)
    lesson = Lesson("autoencoder", {"vae": vae}, parameters, [optimiser], steps, peak, WARM, recipe.save_every)
    learn(lesson, checkpoint, loss_of)
    return vae.eval()


@torch.no_grad()
def examine(vae: AutoencoderKL, data: Drawn, device: torch.device) -> float:
    """Mean absolute difference of pictures and what comes back of them, 0 … 2."""
    pictures = as_model_sees(data.pictures).to(device)
    return l1_loss(vae.decode(vae.encode(pictures).latent_dist.mean).sample, pictures).item()


def loss_on(vae: AutoencoderKL, pictures: torch.Tensor, mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Of `pictures` as the model sees them, (n, 3, height, width), with the `mask` of their things."""
    latents = vae.encode(pictures).latent_dist.mean
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    back = vae.decode(latents + NOISE_OF_LATENTS * noise).sample
    return difference(back, pictures, mask) + APART_WEIGHT * _apart(latents)


def _apart(latents: torch.Tensor) -> torch.Tensor:
    """How far the channels of (n, channels, h, w) are from a mean of 0, a variance of 1 and no correlation."""
    values = latents.transpose(0, 1).flatten(1)
    wanted = torch.eye(len(values), device=values.device)
    return (torch.cov(values) - wanted).square().sum() / len(values) + values.mean(dim=1).square().mean()
