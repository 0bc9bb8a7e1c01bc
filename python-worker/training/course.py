"""The whole training, from the first drawn picture to the folder of the pipeline."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextModel, CLIPTokenizer

from training import autoencoder, colors, decoder, denoiser, networks, reading
from training.checkpoint import Checkpoint
from training.data import Drawn, drawn, unseen
from training.denoiser import Examples, Networks
from training.latents import encoded, latents_of, scaling_factor, weights_of
from training.reading import Captions, answers_of
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
    """
    On pictures of held-out combinations: `difference` of the autoencoder, 0 … 2; `read`, the part of their captions
    that the text encoder understands wholly, before the denoiser; `loss` of the denoiser, and `misled`, its loss when
    each picture has the caption of another: one that does not heed the words has the same.
    """

    difference: float
    read: float
    loss: float
    misled: float


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
    examples = _examples(recipe, latents * vae.config.scaling_factor, data, words)
    scaled = encoded(vae, fresh.pictures, course.device) * vae.config.scaling_factor
    new_examples = _examples(recipe, scaled, fresh, words)
    encoder, understood = _reader(course, words, _captions(examples, data), _captions(new_examples, fresh))
    say(f"text encoder: understands {understood:.1%} of unseen captions")
    trained = _words_to_latents(course, encoder, examples)
    loss = denoiser.examine(trained, new_examples, course.seed, course.device)
    mistaken = replace(new_examples, tokens=new_examples.tokens.roll(1, dims=0))
    misled = denoiser.examine(trained, mistaken, course.seed, course.device)
    say(f"denoiser: loss on unseen pictures {loss:.4f}, with the captions of others {misled:.4f}")

    write(networks.pipeline(vae, trained.encoder, words, trained.unet), recipe.side, out_dir)
    return Outcome(difference, understood, loss, misled)


def _pictures_to_latents(course: Course, data: Drawn, fresh: Drawn, say: Say) -> tuple[AutoencoderKL, torch.Tensor]:
    """The autoencoder, with its decoder trained on and its scaling factor, and the latents of `data`, not scaled."""
    recipe, seed, device = course.recipe, course.seed, course.device
    about: dict[str, object] = {"autoencoder": asdict(recipe.autoencoder)}
    torch.manual_seed(seed)
    vae = autoencoder.train(recipe, data, seed, device, course.checkpoint("autoencoder", **about))
    say(f"autoencoder: difference on unseen pictures {autoencoder.examine(vae, fresh, device):.4f} of 2")
    about = _about_latents(recipe)
    colors.train(recipe, vae, data, seed, device, course.checkpoint("colors", **about))
    near, strayed = colors.nearest(vae, recipe, device), colors.strayed(vae, recipe, device)
    say(f"colors: the two nearest are {near:.2f} apart, on other backgrounds one strays by {strayed:.2f}")
    latents = latents_of(vae, data, device, course.checkpoint("latents", **about))
    vae.register_to_config(scaling_factor=scaling_factor(latents))
    checkpoint = course.checkpoint("decoder", **about, decoder=asdict(recipe.decoder))
    decoder.train(recipe, vae, latents, data, seed, device, checkpoint)
    return vae, latents


def _reader(
    course: Course, words: CLIPTokenizer, captions: Captions, new_captions: Captions
) -> tuple[CLIPTextModel, float]:
    """And which part of `new_captions` it understands."""
    recipe, seed, device = course.recipe, course.seed, course.device
    torch.manual_seed(seed)
    encoder = networks.text_encoder(recipe, words).to(device)
    checkpoint = course.checkpoint("text_encoder", **_about_reading(recipe))
    heads = reading.train(recipe, encoder, captions, seed, device, checkpoint)
    return encoder, reading.examine(encoder, heads, new_captions, device)


def _words_to_latents(course: Course, encoder: CLIPTextModel, examples: Examples) -> Networks:
    recipe, seed, device = course.recipe, course.seed, course.device
    about = {**_about_latents(recipe), "denoiser": asdict(recipe.denoiser), **_about_reading(recipe)}
    torch.manual_seed(seed)
    untrained = Networks(networks.denoiser(recipe).to(device), encoder)
    return denoiser.train(recipe, untrained, examples, seed, device, course.checkpoint("denoiser", **about))


def _about_latents(recipe: Recipe) -> dict[str, object]:
    return {"autoencoder": asdict(recipe.autoencoder), "colors": asdict(recipe.colors)}


def _about_reading(recipe: Recipe) -> dict[str, object]:
    return {"reading": asdict(recipe.reading), "text_width": recipe.denoiser.text_width}


def _captions(examples: Examples, data: Drawn) -> Captions:
    return Captions(examples.tokens.flatten(0, 1), answers_of([line for lines in data.captions for line in lines]))


def _examples(recipe: Recipe, latents: torch.Tensor, data: Drawn, words: CLIPTokenizer) -> Examples:
    lines = [line for lines in data.captions for line in lines]
    tokens = _tokens(words, lines).view(len(data), -1, networks.TOKENS)
    weights = weights_of(data.pictures, networks.pixels_of_latent(recipe))
    return Examples(latents, weights, tokens, _tokens(words, [""])[0])


def _tokens(words: CLIPTokenizer, lines: list[str]) -> torch.Tensor:
    padded = words(lines, padding="max_length", max_length=networks.TOKENS, truncation=True, return_tensors="pt")
    tokens: torch.Tensor = padded.input_ids
    return tokens
