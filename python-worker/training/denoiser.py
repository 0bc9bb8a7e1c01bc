"""Last stage: from noise and text to latents. The text encoder is trained along."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel

from training.checkpoint import Checkpoint
from training.muon import Muon
from training.networks import NOISE
from training.recipe import Recipe
from training.stepping import Lesson, Lot, chance, learn

CAPTION_DROPOUT = 0.1
"""So that guidance has something to push away from."""
WARM = 200
WEIGHT_DECAY = 1e-4
SHARE_OF_ADAM, SHARE_OF_ENCODER = 0.25, 0.025
"""
Of the learning rate, which is Muon's. The encoder can read already, and what an untrained denoiser asks of it at first
would undo that.
"""
NOT_HIDDEN = ("conv_in", "conv_out", "time_embedding", "add_embedding")
"""Parts of the UNet that Adam trains, beside all that is no matrix."""
EMA_DECAY = 0.999
"""Of the moving average of the weights; at first it is less, so that it forgets how they began."""
SCHEDULER = DDPMScheduler(**NOISE)


@dataclass(frozen=True, slots=True)
class Examples:
    """
    `latents`: (n, 4, h, w), scaled. `weights`: (n, 1, h, w), of the loss of each latent under a caption, 1 on average.
    `tokens`: (n, wordings, TOKENS). `wordless`: (TOKENS,), the empty prompt.
    """

    latents: torch.Tensor
    weights: torch.Tensor
    tokens: torch.Tensor
    wordless: torch.Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Like examples; but `tokens` is (n, TOKENS), of the one wording that each has."""

    latents: torch.Tensor
    weights: torch.Tensor
    tokens: torch.Tensor


@dataclass(frozen=True, slots=True)
class Networks:
    unet: UNet2DConditionModel
    encoder: CLIPTextModel

    def modules(self, start: str = "") -> dict[str, nn.Module]:
        return {f"{start}unet": self.unet, f"{start}encoder": self.encoder}

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for module in self.modules().values() for parameter in module.parameters()]

    def predict(self, latents: torch.Tensor, times: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        velocity: torch.Tensor = self.unet(latents, times, self.encoder(tokens).last_hidden_state).sample
        return velocity


def train(
    recipe: Recipe, networks: Networks, examples: Examples, seed: int, device: torch.device, checkpoint: Checkpoint
) -> Networks:
    """The average of the weights, which draws better than their last state."""
    average = Networks(copy.deepcopy(networks.unet), copy.deepcopy(networks.encoder))
    parameters, averages = networks.parameters(), average.parameters()
    steps, batch, peak = recipe.denoiser.steps, recipe.denoiser.batch, recipe.denoiser.rate

    def loss_of(step: int) -> torch.Tensor:
        return _loss(
            networks, some(examples, batch, chance(seed, Lot.EXAMPLES, step)), chance(seed, Lot.NOISE, step), device
        )

    @torch.no_grad()
    def follow(step: int) -> None:
        torch._foreach_lerp_([*averages], [*parameters], 1 - min(EMA_DECAY, (step + 1) / (step + 10)))

    modules = networks.modules() | average.modules("average_")
    lesson = Lesson("denoiser", modules, parameters, _optimisers(networks), steps, peak, WARM, recipe.save_every)
    learn(lesson, checkpoint, loss_of, follow)
    return average


@torch.no_grad()
def examine(networks: Networks, examples: Examples, seed: int, device: torch.device) -> float:
    """
    The loss on the first wording of each example, with the same noise every time. A network that always answers 0
    scores about 1.
    """
    batch = Batch(examples.latents, examples.weights, examples.tokens[:, 0])
    return _loss(networks, batch, chance(seed, Lot.NOISE_OF_EXAMINATION, 0), device).item()


def _optimisers(networks: Networks) -> list[torch.optim.Optimizer]:
    """
    Three minutes of Muon, 195 steps, ended with the loss of 266 steps of Adam at its best rate, and with 6 % less at
    high noise, where the layout is decided (measured while each latent weighed the same).
    """
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in networks.unet.named_parameters():
        (rest if parameter.ndim < 2 or name.startswith(NOT_HIDDEN) else hidden).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": rest, "share": SHARE_OF_ADAM},
        {"params": [*networks.encoder.parameters()], "share": SHARE_OF_ENCODER},
    ]
    return [Muon(hidden), torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)]


def some(examples: Examples, batch: int, generator: torch.Generator) -> Batch:
    """
    Each with one of its wordings or with none. Without words nothing says where the thing will be, and weights that
    know it would teach a denoiser to expect too much of it; then all latents weigh the same.
    """
    count, wordings, _ = examples.tokens.shape
    chosen = torch.randint(count, (batch,), generator=generator)
    tokens = examples.tokens[chosen, torch.randint(wordings, (batch,), generator=generator)]
    silent = torch.rand(batch, generator=generator) < CAPTION_DROPOUT
    return Batch(
        examples.latents[chosen],
        torch.where(silent[:, None, None, None], 1, examples.weights[chosen]),
        torch.where(silent[:, None], examples.wordless, tokens),
    )


def _loss(networks: Networks, batch: Batch, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    noise = torch.randn(batch.latents.shape, generator=generator)
    # One of each equal stretch of times, so that chance favours none.
    places = (torch.arange(len(noise)) + torch.rand(len(noise), generator=generator)) / len(noise)
    # The last one can be rounded up to 1.
    times = (places * SCHEDULER.config.num_train_timesteps).long().clamp(max=SCHEDULER.config.num_train_timesteps - 1)
    noisy = SCHEDULER.add_noise(batch.latents, noise, times)
    velocity = SCHEDULER.get_velocity(batch.latents, noise, times)
    predicted = networks.predict(noisy.to(device), times.to(device), batch.tokens.to(device))
    off = (predicted - velocity.to(device)).square().mean(dim=1, keepdim=True)
    weighed: torch.Tensor = off * batch.weights.to(device)
    return weighed.mean()
