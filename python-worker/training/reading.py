"""
Before the denoiser: the text encoder alone learns to tell what a caption says. It takes a minute and no picture; by way
of noisy latents the meaning of the words would be learnt far more slowly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import CLIPTextModel

from kilnwatt_worker.quality.prompt import read
from kilnwatt_worker.quality.vocabulary import COLORS, PLACES, SHAPES, SIZES
from training.checkpoint import Checkpoint
from training.recipe import Recipe
from training.stepping import Lesson, Lot, chance, learn

WARM = 100
UNSAID = "unsaid"
THING = ((UNSAID, *SHAPES), (UNSAID, *COLORS), (UNSAID, *SIZES), (UNSAID, *PLACES))
QUESTIONS = ((UNSAID, *COLORS), *THING, *THING)
"""The possible answers to each: the background, then shape, color, size and place of the first and the second thing."""


@dataclass(frozen=True, slots=True)
class Captions:
    """`tokens`: (n, TOKENS). `answers`: (n, questions), as `answers_of` gives them."""

    tokens: torch.Tensor
    answers: torch.Tensor


def train(
    recipe: Recipe, encoder: CLIPTextModel, captions: Captions, seed: int, device: torch.device, checkpoint: Checkpoint
) -> nn.Linear:
    """Changes `encoder` in place. What it gives back answers the questions from the mean of the encoder's states."""
    heads = nn.Linear(encoder.config.hidden_size, sum(map(len, QUESTIONS))).to(device)
    modules: dict[str, nn.Module] = {"encoder": encoder, "heads": heads}
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    steps, batch, peak = recipe.reading.steps, recipe.reading.batch, recipe.reading.rate
    optimiser = torch.optim.AdamW(parameters, peak)

    def loss_of(step: int) -> torch.Tensor:
        chosen = torch.randint(len(captions.tokens), (batch,), generator=chance(seed, Lot.CAPTIONS, step))
        said = _said(encoder, heads, captions.tokens[chosen].to(device))
        right = captions.answers[chosen].to(device).unbind(dim=1)
        return torch.stack([cross_entropy(one, answer) for one, answer in zip(said, right, strict=True)]).mean()

    lesson = Lesson("text encoder", modules, parameters, [optimiser], steps, peak, WARM, recipe.save_every)
    learn(lesson, checkpoint, loss_of)
    return heads


@torch.no_grad()
def examine(encoder: CLIPTextModel, heads: nn.Linear, captions: Captions, device: torch.device) -> float:
    """The part of the captions of which every answer is right."""
    said = _said(encoder, heads, captions.tokens.to(device))
    answers = torch.stack([one.argmax(dim=1) for one in said], dim=1).cpu()
    return (answers == captions.answers).all(dim=1).float().mean().item()


def answers_of(captions: Sequence[str]) -> torch.Tensor:
    """(n, questions): which of the answers to each a caption gives."""
    return torch.tensor([_answers(caption) for caption in captions])


def _said(encoder: CLIPTextModel, heads: nn.Linear, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """To each question, (n, answers)."""
    logits: torch.Tensor = heads(encoder(tokens).last_hidden_state.mean(dim=1))
    return torch.split(logits, [*map(len, QUESTIONS)], dim=1)


def _answers(caption: str) -> list[int]:
    asked = read(caption)
    if asked is None:
        raise ValueError(f"the caption says nothing: {caption}")
    said: list[str | None] = [asked.background]
    for thing in asked.things:
        said += [thing.shape, thing.color, thing.size, thing.place]
    said += [None] * (len(QUESTIONS) - len(said))
    return [answers.index(one or UNSAID) for answers, one in zip(QUESTIONS, said, strict=True)]
