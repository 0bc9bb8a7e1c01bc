"""Pictures whose content is known, as the training draws them, and what happens to pictures on their way."""

import io
from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from kilnwatt_worker.quality.describe import Seen, describe
from kilnwatt_worker.quality.prompt import read
from kilnwatt_worker.quality.verdict import Verdict, judge
from training.captions import contract
from training.drawing import draw
from training.scenes import lone, pair

Spoil = Callable[[Image.Image], Image.Image]


def plain(picture: Image.Image) -> Image.Image:
    return picture


def blurred(picture: Image.Image) -> Image.Image:
    """By three quarters of a pixel."""
    return picture.filter(ImageFilter.GaussianBlur(0.75))


def jpeg(picture: Image.Image) -> Image.Image:
    """As JPEG is saved by default: quality 75, colours at half the resolution."""
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return Image.open(file).convert("RGB")


def prompts_and_pictures(count: int, side: int, seed: int = 0) -> list[tuple[str, Image.Image]]:
    """Two of three show one thing, the others two."""
    rng = Random(f"drawings {seed}")
    scenes = [(pair if number % 3 == 2 else lone)(rng) for number in range(count)]
    return [(contract(scene), Image.fromarray(draw(scene, rng, side))) for scene in scenes]


def verdict_on(prompt: str, picture: Image.Image | NDArray[np.uint8]) -> Verdict:
    asked = read(prompt)
    assert asked is not None, prompt
    return judge(asked, describe(picture))


def things_in(seen: Seen) -> list[tuple[str | None, str | None, str, str]]:
    return [(thing.color, thing.shape, thing.size, thing.place) for thing in seen.things]
