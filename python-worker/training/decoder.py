"""
Then the decoder alone goes on learning, from latents that stay as they are. What the denoiser learns is not
touched by it, and a step costs half of one with the encoder; so edges become sharp that were still soft. Whole pictures
only: the norms of a decoder that sees cut-outs of a picture's latents measure something else, and colours drift.
"""

import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn.functional import l1_loss

from training.checkpoint import Checkpoint
from training.closeness import difference, mask_of_things
from training.data import Drawn, as_model_sees
from training.recipe import Recipe
from training.stepping import Lesson, Lot, chance, learn

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
    """Changes `vae` in place. `latents`: (n, 4, height, width), of the pictures of `data`, not scaled."""
    steps, batch, peak = recipe.decoder.steps, recipe.decoder.batch, recipe.decoder.rate
    modules: dict[str, nn.Module] = {"decoder": vae.decoder, "post_quant_conv": vae.post_quant_conv}
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    optimiser = torch.optim.AdamW(parameters, peak, betas=(0.9, 0.99))
    blunder = BLUNDER * latents.std().item()

    def loss_of(step: int) -> torch.Tensor:
        chosen = torch.randint(len(data), (batch,), generator=chance(seed, Lot.WHOLE_PICTURES, step))
        some = latents[chosen] + blunder * torch.randn(
            (batch, *latents.shape[1:]), generator=chance(seed, Lot.DECODER_BLUNDER, step)
        )
        pictures = data.pictures[chosen]
        back = vae.decode(some.to(device)).sample
        return _loss(back, as_model_sees(pictures).to(device), mask_of_things(pictures).to(device))

    lesson = Lesson("decoder", modules, parameters, [optimiser], steps, peak, WARM, recipe.save_every)
    learn(lesson, checkpoint, loss_of)


def _loss(back: torch.Tensor, pictures: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Differences of neighbours count as well as the pixels themselves: it is the edges that are soft."""
    edges = sum(l1_loss(back.diff(dim=axis), pictures.diff(dim=axis)) for axis in (-1, -2))
    return difference(back, pictures, mask) + edges
