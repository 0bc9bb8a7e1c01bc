"""
The shapes as the checker knows them: inequalities on a grid, written apart from the outlines that the training draws.

A silhouette is (GRID, GRID), each cell the part of it that is covered, the larger side of the shape filling the grid.
Each shape is known sharp and at several blurs, because blur takes tips and corners away: a small picture of a star has
shorter rays than a large one.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from kilnwatt_worker.quality.color import Floats

Mask = NDArray[np.bool_]

GRID = 48
CANVAS = 192
"""Cells of a side of the canvas on which the shapes are drawn; they fill the middle half of it."""
BLURS = (0.0, 0.06, 0.12, 0.18)
"""Standard deviations, as parts of half the shape's larger side."""


def nearest(silhouette: Floats) -> tuple[str, float]:
    """The shape that overlaps most, and the overlap: common area by joint area, 0 … 1."""
    shared = np.minimum(_KNOWN, silhouette).sum(axis=(1, 2))
    overlaps = shared / np.maximum(_KNOWN, silhouette).sum(axis=(1, 2))
    best = int(overlaps.argmax())
    return _NAMES[best], float(overlaps[best])


def half_of(shape: str, area: float) -> float:
    """Half of the larger side of a shape's box, from its area, which blur leaves as it is while it takes tips away."""
    return float(np.sqrt(area / _FILLED[shape])) / 2


def boxed(inside: Mask) -> tuple[Floats, tuple[int, int, int, int]]:
    """What is inside, as a silhouette, and its box: left, top, right, bottom, the last two beyond it."""
    (top, bottom), (left, right) = (_reach(np.asarray(inside.any(axis=axis))) for axis in (1, 0))
    x, y, half = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top) / 2
    extent = (x - half, y - half, x + half, y + half)
    # Averaged over the cell: without the detour a coarse grid would skip pixels.
    finer = Image.fromarray(inside.astype(np.float32)).transform(
        (2 * GRID, 2 * GRID), Image.Transform.EXTENT, extent, Image.Resampling.BILINEAR
    )
    return np.asarray(finer.reduce(2), dtype=np.float64), (left, top, right, bottom)


def _reach(line: Mask) -> tuple[int, int]:
    covered = np.flatnonzero(line)
    return int(covered[0]), int(covered[-1]) + 1


def _circle(x: Floats, y: Floats) -> Mask:
    return x**2 + y**2 <= 1


def _square(x: Floats, y: Floats) -> Mask:
    return np.maximum(abs(x), abs(y)) <= 1


def _triangle(x: Floats, y: Floats) -> Mask:
    return (abs(y) <= 0.9) & (abs(x) <= (y + 0.9) / 1.8)


def _star(x: Floats, y: Floats) -> Mask:
    """Under the edge from a tip at radius 1 to a notch at 0.42, in each of ten mirrored sectors; boxed afterwards."""
    grown = 0.95106
    x, y = x * grown, y * grown - (1 - np.cos(np.pi / 5)) / 2
    radius, angle = np.hypot(x, y), np.arctan2(x, -y)
    within = abs((angle + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    along, across = radius * np.cos(within), radius * np.sin(within)
    notch_along, notch_across = 0.42 * np.cos(np.pi / 5), 0.42 * np.sin(np.pi / 5)
    within_ray: Mask = across * (1 - notch_along) <= (1 - along) * notch_across
    return within_ray


def _ring(x: Floats, y: Floats) -> Mask:
    return (x**2 + y**2 <= 1) & (x**2 + y**2 >= 0.55**2)


def _cross(x: Floats, y: Floats) -> Mask:
    return (np.minimum(abs(x), abs(y)) <= 0.34) & (np.maximum(abs(x), abs(y)) <= 1)


def _heart(x: Floats, y: Floats) -> Mask:
    """Below the upper edge and above the lower one, each tabled along the usual curve x = 16 sin³ t."""
    t = np.linspace(0, np.pi, 400)
    edge = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    across = 16 * np.sin(t) ** 3
    widest = int(across.argmax())
    middle = (edge.min() + edge.max()) / 2
    upper = np.interp(abs(x) * 16, across[: widest + 1], edge[: widest + 1])
    lower = np.interp(abs(x) * 16, across[widest:][::-1], edge[widest:][::-1])
    height = y * 16 + middle
    between: Mask = (abs(x) <= 1) & (height >= upper) & (height <= lower)
    return between


def _diamond(x: Floats, y: Floats) -> Mask:
    return abs(x) / 0.72 + abs(y) <= 1


def _crescent(x: Floats, y: Floats) -> Mask:
    away, radius = 0.42, 0.78
    tip = (1 - radius**2 + away**2) / (2 * away)
    x = x + (tip - 1) / 2
    return (x**2 + y**2 <= 1) & ((x - away) ** 2 + y**2 >= radius**2)


def _arrow(x: Floats, y: Floats) -> Mask:
    shaft = (x >= -1) & (x <= 0.1) & (abs(y) <= 0.28)
    return shaft | ((x >= 0.1) & (abs(y) <= 0.8 * (1 - x) / 0.9))


_SHAPES: Mapping[str, Callable[[Floats, Floats], Mask]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "ring": _ring,
    "cross": _cross,
    "heart": _heart,
    "diamond": _diamond,
    "crescent": _crescent,
    "arrow": _arrow,
}


def _blurred(inside: Callable[[Floats, Floats], Mask], blur: float) -> Floats:
    steps = (np.arange(CANVAS) + 0.5) / CANVAS * 4 - 2
    x, y = np.meshgrid(steps, steps)
    soft = ndimage.gaussian_filter(inside(x, y).astype(np.float64), blur * CANVAS / 4)
    return boxed(soft >= 0.5)[0]


_NAMES = tuple(shape for shape in _SHAPES for _ in BLURS)
_FILLED = {shape: float(_blurred(inside, 0).mean()) for shape, inside in _SHAPES.items()}
"""Part of the square around a shape that it covers."""
_KNOWN = np.stack([_blurred(inside, blur) for inside in _SHAPES.values() for blur in BLURS])
