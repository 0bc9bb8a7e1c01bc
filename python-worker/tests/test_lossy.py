"""What techniques that change pictures leave of what was asked for, by the model in the box, beside plain ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image

from kilnwatt_worker.parts import Preset
from kilnwatt_worker.quality.compare import psnr
from training.eval_shapes import BOX
from training.examination import PRESET, Artist, examined_of, prompts_of

PROMPTS = prompts_of(0, singles=6, pairs=0)


@dataclass(frozen=True)
class Drawn:
    pictures: Sequence[Image.Image]
    right: int
    """Of `PROMPTS`, those that show all that they ask for."""


def drawn(preset: Preset) -> Drawn:
    artist = Artist(BOX, "cpu", preset)
    artist.params = replace(artist.params, steps=12)
    pictures = artist.draw(PROMPTS, list(range(len(PROMPTS))))
    verdicts = [examined_of(prompt, picture).verdict for prompt, picture in zip(PROMPTS, pictures, strict=True)]
    return Drawn(pictures, sum(verdict.right for verdict in verdicts))


@pytest.fixture(scope="module")
def plain() -> Drawn:
    return drawn(PRESET)


@pytest.mark.parametrize(
    ("preset", "least"),
    [
        (replace(PRESET, quantize="int8_weights", quantize_text="int8_weights"), 40),
        (replace(PRESET, quantize="nf4", quantize_text="nf4"), 22),
        (replace(PRESET, quantize="fp8_storage"), 30),
        (replace(PRESET, step_cache="deepcache", step_cache_strength=2.0), 30),
    ],
    ids=["int8", "nf4", "fp8_storage", "deepcache"],
)
def test_a_lossy_technique_still_draws_what_is_asked_for(preset: Preset, least: float, plain: Drawn) -> None:
    """`least` is the worst picture's PSNR in dB that is let through; those found are at least 7 dB above."""
    lossy = drawn(preset)
    decibels = [
        psnr(np.asarray(one), np.asarray(other)) for one, other in zip(lossy.pictures, plain.pictures, strict=True)
    ]
    assert least < min(decibels) < 90
    assert lossy.right >= plain.right - 1 >= len(PROMPTS) - 2
