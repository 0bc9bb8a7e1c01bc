"""
Then the decoder alone goes on learning, from latents that stay as they are. What the denoiser learns is not
touched by it, and a step costs half of one with the encoder; so edges become sharp that were still soft. Whole pictures
only: the norms of a decoder that sees cut-outs of a picture's latents measure something else, and colours drift.
"""

import torch
from diffusers import AutoencoderKL
from torch import nn

from training.checkpoint import Checkpoint
from training.closeness import mask_of_things, misses, widened
from training.data import Drawn, as_model_sees
from training.recipe import Recipe
from training.stepping import Lesson, Lot, chance, learn

WARM = 100
AROUND = 3 / 64
"""Of the side: so far around a thing is its edge."""
MOST_BLUNDER = 0.3
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
    most = MOST_BLUNDER * latents.std().item()

    def loss_of(step: int) -> torch.Tensor:
        chosen = torch.randint(len(data), (batch,), generator=chance(seed, Lot.WHOLE_PICTURES, step))
        some = latents[chosen] + most * _blunder((batch, *latents.shape[1:]), chance(seed, Lot.DECODER_BLUNDER, step))
        pictures = data.pictures[chosen]
        back = vae.decode(some.to(device)).sample
        return _loss(back, as_model_sees(pictures).to(device), mask_of_things(pictures).to(device))

    lesson = Lesson("decoder", modules, parameters, [optimiser], steps, peak, WARM, recipe.save_every)
    learn(lesson, checkpoint, loss_of)


def _blunder(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Noise of another spread, 0 … 1, for each picture."""
    return torch.rand((shape[0], 1, 1, 1), generator=generator) * torch.randn(shape, generator=generator)


def _loss(back: torch.Tensor, pictures: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    Things, what is around them and the rest count the same, in each picture by itself: a small ring is as easily seen
    to be wrong as a large one, and by its hole. Differences of neighbours count as well: it is edges that are soft.
    """
    near = widened(mask, AROUND)
    each = misses(back, pictures)
    parts = [_mean_where(each, where) for where in (mask, near & ~mask, ~near)]
    edges = [_edges(back, pictures, near, axis) for axis in (-1, -2)]
    return torch.stack([*parts, *edges]).sum()


def _edges(back: torch.Tensor, pictures: torch.Tensor, near: torch.Tensor, axis: int) -> torch.Tensor:
    off = (back.diff(dim=axis) - pictures.diff(dim=axis)).abs().mean(dim=1, keepdim=True)
    return _mean_where(off, near.narrow(axis, 0, off.shape[axis]))


def _mean_where(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The mean of each picture's own mean. Both (n, 1, height, width)."""
    sums, counts = (each.flatten(1).sum(dim=1) for each in (values * where, where))
    return (sums / counts.clamp(min=1)).mean()
