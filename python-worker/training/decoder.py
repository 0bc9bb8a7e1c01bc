"""
Third stage: the decoder alone goes on learning, from latents that stay as they are. What the denoiser learns is not
touched by it, and a step costs half of one with the encoder; so edges become sharp that were still soft.
"""

import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn.functional import l1_loss, mse_loss
from tqdm import tqdm

from training.checkpoint import Checkpoint, packed, unpack
from training.data import Drawn, as_model_sees
from training.recipe import DecoderRecipe, Recipe
from training.stepping import chance, rate, update

WARM = 100
BLUNDER = 0.05
"""Noise on the latents, as a part of their spread: a denoiser does not hit them quite either."""


def train(
    recipe: Recipe,
    vae: AutoencoderKL,
    latents: torch.Tensor,
    data: Drawn,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint,
) -> None:
    """Changes `vae` in place. `latents`: (n, 4, side / 8, side / 8), of the pictures of `data`, not scaled."""
    modules: dict[str, nn.Module] = {"decoder": vae.decoder, "post_quant_conv": vae.post_quant_conv}
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    optimiser = torch.optim.AdamW(parameters, recipe.decoder.rate, betas=(0.9, 0.99))
    steps, done = recipe.decoder.steps, 0
    if kept := checkpoint.load():
        done, tensors = kept
        unpack(tensors, modules, optimiser)
    spread = latents.std().item()
    bar = tqdm(range(done, steps), initial=done, total=steps, desc="decoder", mininterval=1)
    for step in bar:
        some, pictures = _some(recipe.decoder, latents, data, step, chance(seed, 6, step))
        some = some + BLUNDER * spread * torch.randn(some.shape, generator=chance(seed, 7, step))
        loss = _loss(vae.decode(some.to(device)).sample, pictures.to(device))
        update(optimiser, parameters, loss, rate(step, steps, recipe.decoder.rate, WARM))
        if (step + 1) % recipe.save_every == 0 or step + 1 == steps:
            bar.set_postfix(loss=f"{loss.item():.4f}")
            checkpoint.save(step + 1, packed(modules, optimiser))


def _some(
    recipe: DecoderRecipe, latents: torch.Tensor, data: Drawn, step: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A cut-out of the latents and the same one of the pictures; whole ones at the end."""
    whole = step >= recipe.crop_steps
    chosen = torch.randint(len(data), (recipe.whole_batch if whole else recipe.crop_batch,), generator=generator)
    some, pictures = latents[chosen], as_model_sees(data.pictures[chosen])
    if whole:
        return some, pictures
    pixels = pictures.shape[-1] // some.shape[-1]
    side = recipe.crop // pixels
    top, left = (int(at) for at in torch.randint(some.shape[-1] - side + 1, (2,), generator=generator))
    rows, columns = slice(top * pixels, (top + side) * pixels), slice(left * pixels, (left + side) * pixels)
    return some[:, :, top : top + side, left : left + side], pictures[:, :, rows, columns]


def _loss(back: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Differences of neighbours count as much as the pixels themselves: it is the edges that are soft."""
    edges = sum(l1_loss(back.diff(dim=axis), pictures.diff(dim=axis)) for axis in (-1, -2))
    return l1_loss(back, pictures) + mse_loss(back, pictures) + edges
