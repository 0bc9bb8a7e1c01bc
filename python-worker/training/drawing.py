"""Draws a scene. Places, sizes and colours stray a little, so that no picture is drawn twice."""

from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kilnwatt_worker.quality.vocabulary import COLORS, PAIR_PLACES, PAIR_SIZE, PLACES, SIZES, Rgb
from training.outlines import RING_HOLE, outline
from training.scenes import Lone, Scene

SIDE = 128
"""Pixels of a picture's side."""
FINER = 3
"""Drawn this many times larger, then averaged: smooth edges."""
STRAY_PLACE, STRAY_SIZE, STRAY_COLOR = 0.02, 0.05, 4.0
MARGIN = 0.01


def draw(scene: Scene, rng: Random, side: int = SIDE) -> NDArray[np.uint8]:
    """(side, side, 3), sRGB."""
    background = _strayed(COLORS[scene.background], rng)
    image = Image.new("RGB", (side * FINER, side * FINER), background)
    pencil = ImageDraw.Draw(image)
    places, sizes = _layout(scene)
    for thing, place, size in zip(scene.things, places, sizes, strict=True):
        half = size * rng.uniform(1 - STRAY_SIZE, 1 + STRAY_SIZE)
        x, y = (_inside(at + rng.uniform(-STRAY_PLACE, STRAY_PLACE), half) for at in place)
        color = _strayed(COLORS[thing.color], rng)
        _fill(pencil, thing.shape, (x, y, half), side * FINER, color, background)
    return np.asarray(image.reduce(FINER))


def _layout(scene: Scene) -> tuple[tuple[tuple[float, float], ...], tuple[float, ...]]:
    if isinstance(scene, Lone):
        return (PLACES[scene.place],), (SIZES[scene.thing.size],)
    return PAIR_PLACES[scene.relation], (PAIR_SIZE, PAIR_SIZE)


def _fill(
    pencil: ImageDraw.ImageDraw, shape: str, where: tuple[float, float, float], pixels: int, color: Rgb, background: Rgb
) -> None:
    """`where`: middle and half size as parts of the side, which is `pixels` long."""
    x, y, half = (value * pixels for value in where)
    pencil.polygon([(x + half * dx, y + half * dy) for dx, dy in outline(shape)], fill=color)
    if shape == "ring":
        hole = half * RING_HOLE
        pencil.ellipse((x - hole, y - hole, x + hole, y + hole), fill=background)


def _inside(at: float, half: float) -> float:
    return min(max(at, half + MARGIN), 1 - half - MARGIN)


def _strayed(color: Rgb, rng: Random) -> Rgb:
    red, green, blue = (min(255, max(0, round(rng.gauss(value, STRAY_COLOR)))) for value in color)
    return red, green, blue
