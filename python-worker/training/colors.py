"""
Second stage: encoder and decoder go on as before, and learn to hold the colors apart. Left to itself an autoencoder
places flat colors no farther apart than its decoder needs, which is far nearer than a denoiser hits: the ten colors lay
on one line, 0.12 to 0.43 apart, and a denoiser took one of ten for its neighbour on it.
"""

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL

from kilnwatt_worker.quality.vocabulary import COLORS
from training.autoencoder import loss_on
from training.checkpoint import Checkpoint
from training.closeness import mask_of_things
from training.data import Drawn, as_model_sees
from training.networks import pixels_of_latent
from training.recipe import Recipe
from training.stepping import Lesson, Lot, chance, learn

WARM = 30
APART = 1.5
"""How far apart colors shall be, where a channel of the latents has a spread of 1."""
WEIGHT = 10
DISCS = 32
SIDE = 8
"""Of a picture with a disc, in latents."""
RADIUS = (1.4, 3.7)
"""In latents: what is looked at are the four in the middle."""


@dataclass(frozen=True, slots=True)
class Discs:
    """`pictures`: (n, 3, side, side), uint8. `colors`: (n), the number in COLORS of the one in the middle."""

    pictures: torch.Tensor
    colors: torch.Tensor


def train(
    recipe: Recipe, vae: AutoencoderKL, data: Drawn, seed: int, device: torch.device, checkpoint: Checkpoint
) -> None:
    """Changes `vae` in place."""
    steps, batch, peak = recipe.colors.steps, recipe.colors.batch, recipe.colors.rate
    parameters = list(vae.parameters())
    optimiser = torch.optim.Adam(parameters, peak, betas=(0.9, 0.99))

    def loss_of(step: int) -> torch.Tensor:
        generator = chance(seed, Lot.COLORS, step)
        pictures = data.pictures[torch.randint(len(data), (batch,), generator=generator)]
        mask = mask_of_things(pictures).to(device)
        loss = loss_on(vae, as_model_sees(pictures).to(device), mask, generator)
        return loss + WEIGHT * _too_near(vae, discs(pixels_of_latent(recipe), generator), device)

    lesson = Lesson("colors", {"vae": vae}, parameters, [optimiser], steps, peak, WARM, recipe.save_every)
    learn(lesson, checkpoint, loss_of)


@torch.no_grad()
def nearest(vae: AutoencoderKL, recipe: Recipe, device: torch.device) -> float:
    """The distance, in latents, of the two colors that are nearest to each other, where pictures show nothing else."""
    side = SIDE * pixels_of_latent(recipe)
    flat = _palette().view(-1, 3, 1, 1).expand(-1, 3, side, side)
    middles = _middles(vae, flat, device)
    return torch.pdist(middles).min().item()


def discs(pixels: int, generator: torch.Generator) -> Discs:
    """Each of one color on another or the same, where a latent has `pixels` a side."""
    side, palette = SIDE * pixels, _palette()
    inner, outer = torch.randint(len(palette), (2, DISCS), generator=generator)
    smallest, largest = (pixels * radius for radius in RADIUS)
    radius = smallest + (largest - smallest) * torch.rand((DISCS, 1, 1, 1), generator=generator)
    off = torch.arange(side) + 0.5 - side / 2
    inside = torch.hypot(off[:, None], off[None, :]) < radius
    pictures = torch.where(inside, palette[inner].view(-1, 3, 1, 1), palette[outer].view(-1, 3, 1, 1))
    return Discs(pictures.contiguous(memory_format=torch.channels_last), inner)


def _too_near(vae: AutoencoderKL, some: Discs, device: torch.device) -> torch.Tensor:
    """The mean over all two discs of other colors of how far they are short of APART, squared."""
    middles = _middles(vae, some.pictures, device)
    away = torch.cdist(middles, middles)
    other = (some.colors[:, None] != some.colors[None, :]).to(device)
    return (APART - away[other]).clamp(min=0).square().mean()


def _middles(vae: AutoencoderKL, pictures: torch.Tensor, device: torch.device) -> torch.Tensor:
    """(n, 4), the mean of the four latents in the middle."""
    latents: torch.Tensor = vae.encode(as_model_sees(pictures).to(device)).latent_dist.mean
    middle = slice(SIDE // 2 - 1, SIDE // 2 + 1)
    return latents[:, :, middle, middle].mean(dim=(2, 3))


def _palette() -> torch.Tensor:
    return torch.tensor([*COLORS.values()], dtype=torch.uint8)
