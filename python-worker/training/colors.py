"""
Second stage: encoder and decoder go on as before, and learn to hold the colors apart. Left to itself an autoencoder
places flat colors no farther apart than its decoder needs, which is far nearer than a denoiser hits: the ten colors lay
on one line, 0.12 to 0.43 apart, and a denoiser took one of ten for its neighbour on it. And they learn to give a color
one place: only held apart, it lay elsewhere on each background, and an unseen combination was an unseen place.
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
SAME = 0.02
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
        return loss + WEIGHT * _misplaced(vae, discs(pixels_of_latent(recipe), generator), device)

    lesson = Lesson("colors", {"vae": vae}, parameters, [optimiser], steps, peak, WARM, recipe.save_every)
    learn(lesson, checkpoint, loss_of)


@torch.no_grad()
def nearest(vae: AutoencoderKL, recipe: Recipe, device: torch.device) -> float:
    """The distance, in latents, of the two colors that are nearest to each other, where pictures show nothing else."""
    return torch.pdist(_middles(vae, _flat(recipe), device)).min().item()


@torch.no_grad()
def strayed(vae: AutoencoderKL, recipe: Recipe, device: torch.device) -> float:
    """How far, in latents, a small disc of a color on another is from where that lies flat: root mean square of all."""
    palette, pixels = _palette(), pixels_of_latent(recipe)
    count = len(palette)
    inner, outer = torch.arange(count).repeat_interleave(count), torch.arange(count).repeat(count)
    pictures = _drawn(inner, outer, torch.full((count**2,), RADIUS[0] * pixels), pixels)
    away = _middles(vae, pictures, device) - _middles(vae, _flat(recipe), device)[inner.to(device)]
    return away[(inner != outer).to(device)].square().sum(dim=1).mean().sqrt().item()


def discs(pixels: int, generator: torch.Generator) -> Discs:
    """Each of one color on another or the same, where a latent has `pixels` a side."""
    inner, outer = torch.randint(len(_palette()), (2, DISCS), generator=generator)
    smallest, largest = (pixels * radius for radius in RADIUS)
    radius = smallest + (largest - smallest) * torch.rand(DISCS, generator=generator)
    return Discs(_drawn(inner, outer, radius, pixels), inner)


def _drawn(inner: torch.Tensor, outer: torch.Tensor, radius: torch.Tensor, pixels: int) -> torch.Tensor:
    """(n, 3, side, side) of (n) colors, (n) backgrounds and (n) radii in pixels."""
    side, palette = SIDE * pixels, _palette()
    off = torch.arange(side) + 0.5 - side / 2
    inside = torch.hypot(off[:, None], off[None, :]) < radius.view(-1, 1, 1, 1)
    pictures = torch.where(inside, palette[inner].view(-1, 3, 1, 1), palette[outer].view(-1, 3, 1, 1))
    return pictures.contiguous(memory_format=torch.channels_last)


def _flat(recipe: Recipe) -> torch.Tensor:
    side = SIDE * pixels_of_latent(recipe)
    return _palette().view(-1, 3, 1, 1).expand(-1, 3, side, side)


def _misplaced(vae: AutoencoderKL, some: Discs, device: torch.device) -> torch.Tensor:
    """
    The mean over all two discs of other colors of how far they are short of APART, squared, and over all two of the
    same color, each with itself among them, SAME of the square of how far apart they are: what lies around a disc shall
    not move it.
    """
    middles = _middles(vae, some.pictures, device)
    # By differences: the quick way, by a product, is off by more than what the same color shall be apart.
    away = torch.cdist(middles, middles, compute_mode="donot_use_mm_for_euclid_dist")
    other = (some.colors[:, None] != some.colors[None, :]).to(device)
    short = (APART - away[other]).clamp(min=0)
    return short.square().mean() + SAME * away[~other].square().mean()


def _middles(vae: AutoencoderKL, pictures: torch.Tensor, device: torch.device) -> torch.Tensor:
    """(n, 4), the mean of the four latents in the middle."""
    latents: torch.Tensor = vae.encode(as_model_sees(pictures).to(device)).latent_dist.mean
    middle = slice(SIDE // 2 - 1, SIDE // 2 + 1)
    return latents[:, :, middle, middle].mean(dim=(2, 3))


def _palette() -> torch.Tensor:
    return torch.tensor([*COLORS.values()], dtype=torch.uint8)
