"""
Third stage: the decoder alone goes on learning, from latents that stay as they are. What the denoiser learns is not
touched by it, and a step costs half of one with the encoder; so edges become sharp that were still soft.
"""

import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn.functional import l1_loss, mse_loss

from training.checkpoint import Checkpoint
from training.cut_outs import cut
from training.data import Drawn, as_model_sees
from training.recipe import Recipe, steps_of
from training.stepping import Lesson, chance, learn

WARM = 100
BLUNDER = 0.1
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
    stretches, peak = recipe.decoder.stretches, recipe.decoder.rate
    modules: dict[str, nn.Module] = {"decoder": vae.decoder, "post_quant_conv": vae.post_quant_conv}
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    optimiser = torch.optim.AdamW(parameters, peak, betas=(0.9, 0.99))
    pixels, blunder = recipe.side // latents.shape[-1], BLUNDER * latents.std().item()

    def loss_of(step: int) -> torch.Tensor:
        part = cut(stretches, len(data), recipe.side, pixels, step, chance(seed, 6, step))
        some = part.of(latents, pixels)
        some = some + blunder * torch.randn(some.shape, generator=chance(seed, 7, step))
        pictures = as_model_sees(part.of(data.pictures))
        return _loss(vae.decode(some.to(device)).sample, pictures.to(device))

    lesson = Lesson("decoder", modules, parameters, optimiser, steps_of(stretches), peak, WARM, recipe.save_every)
    learn(lesson, checkpoint, loss_of)


def _loss(back: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Differences of neighbours count as much as the pixels themselves: it is the edges that are soft."""
    edges = sum(l1_loss(back.diff(dim=axis), pictures.diff(dim=axis)) for axis in (-1, -2))
    return l1_loss(back, pictures) + mse_loss(back, pictures) + edges
