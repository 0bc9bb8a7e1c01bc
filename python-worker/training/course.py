"""The whole training, from the first drawn picture to the folder of the pipeline."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTokenizer

from training import autoencoder, decoder, denoiser, networks
from training.checkpoint import Checkpoint
from training.data import Drawn, drawn, unseen
from training.denoiser import Examples, Networks
from training.latents import encoded, latents_of, scaling_factor
from training.recipe import LESSONS, Recipe
from training.writing import write


@dataclass(frozen=True, slots=True)
class Course:
    recipe: Recipe
    seed: int
    device: torch.device
    checkpoints: Path

    def checkpoint(self, stage: str, **settings: object) -> Checkpoint:
        about = {
            "lessons": LESSONS,
            "seed": self.seed,
            "pictures": self.recipe.pictures,
            "side": self.recipe.side,
            **settings,
        }
        return Checkpoint(self.checkpoints / f"{stage}.safetensors", json.dumps(about, sort_keys=True))


@dataclass(frozen=True, slots=True)
class Outcome:
    """On pictures of held-out combinations: `difference` of the autoencoder, 0 … 2, and `loss` of the denoiser."""

    difference: float
    loss: float


Say = Callable[[str], None]


def _print(line: str) -> None:
    print(line, file=sys.stderr)


def train(course: Course, out_dir: Path, say: Say = _print) -> Outcome:
    """Goes on from the checkpoints that are there. Raises CheckpointError, OSError."""
    recipe = course.recipe
    say(f"drawing {recipe.pictures} pictures of {recipe.side}x{recipe.side}")
    data, fresh = drawn(recipe.pictures, recipe.side, course.seed), unseen(recipe.side, course.seed)
    vae, latents = _pictures_to_latents(course, data, fresh, say)
    difference = autoencoder.examine(vae, fresh, course.device)
    say(f"decoder: difference on unseen pictures {difference:.4f}")

    words = networks.tokenizer(line for lines in data.captions for line in lines)
    trained = _words_to_latents(course, _examples(latents * vae.config.scaling_factor, data, words), words)
    scaled = encoded(vae, fresh.pictures, course.device) * vae.config.scaling_factor
    loss = denoiser.examine(trained, _examples(scaled, fresh, words), course.seed, course.device)
    say(f"denoiser: loss on unseen pictures {loss:.4f}, where saying nothing has about 1")

    write(networks.pipeline(vae, trained.encoder, words, trained.unet), recipe.side, out_dir)
    return Outcome(difference, loss)


def _pictures_to_latents(course: Course, data: Drawn, fresh: Drawn, say: Say) -> tuple[AutoencoderKL, torch.Tensor]:
    """The autoencoder, with its decoder trained on and its scaling factor, and the latents of `data`, not scaled."""
    recipe, seed, device = course.recipe, course.seed, course.device
    about = {"autoencoder": asdict(recipe.autoencoder)}
    torch.manual_seed(seed)
    vae = autoencoder.train(recipe, data, seed, device, course.checkpoint("autoencoder", **about))
    say(f"autoencoder: difference on unseen pictures {autoencoder.examine(vae, fresh, device):.4f} of 2")
    latents = latents_of(vae, data, device, course.checkpoint("latents", **about))
    vae.register_to_config(scaling_factor=scaling_factor(latents))
    checkpoint = course.checkpoint("decoder", **about, decoder=asdict(recipe.decoder))
    decoder.train(recipe, vae, latents, data, seed, device, checkpoint)
    return vae, latents


def _words_to_latents(course: Course, examples: Examples, words: CLIPTokenizer) -> Networks:
    recipe, seed, device = course.recipe, course.seed, course.device
    about = {"autoencoder": asdict(recipe.autoencoder), "denoiser": asdict(recipe.denoiser)}
    torch.manual_seed(seed)
    untrained = Networks(networks.denoiser(recipe).to(device), networks.text_encoder(recipe, words).to(device))
    return denoiser.train(recipe, untrained, examples, seed, device, course.checkpoint("denoiser", **about))


def _examples(latents: torch.Tensor, data: Drawn, words: CLIPTokenizer) -> Examples:
    lines = [line for lines in data.captions for line in lines]
    tokens = _tokens(words, lines).view(len(data), -1, networks.TOKENS)
    return Examples(latents, tokens, _tokens(words, [""])[0])


def _tokens(words: CLIPTokenizer, lines: list[str]) -> torch.Tensor:
    padded = words(lines, padding="max_length", max_length=networks.TOKENS, truncation=True, return_tensors="pt")
    tokens: torch.Tensor = padded.input_ids
    return tokens
