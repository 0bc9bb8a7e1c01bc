"""
What a picture shows, found by plain image analysis and without its prompt: one or two flat shapes on a flat ground.

What cannot be told is None, and a picture that is not of this kind has no things; both count as wrong.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from kilnwatt_worker.quality.color import Floats, lab, name_of
from kilnwatt_worker.quality.silhouettes import GRID, boxed, half_of, nearest
from kilnwatt_worker.quality.vocabulary import PLACES, SIZES

Labels = NDArray[np.int32]

EDGE = 1 / 32
"""Width of the rim, as a part of the side, in which the background is looked for."""
EVEN = 14.0
"""Distance in L*a*b* up to which a pixel is of the same colour."""
EVEN_PART = 0.7
"""Of the rim, at least; a large shape may touch it."""
CONTRASTS = (14.0, 22.0, 32.0)
"""Distances from the background that make a pixel part of a thing; the one is taken that gives the clearest shapes."""
SMALLEST = 0.004
"""Of the picture; what is smaller is a speck."""
CLEAR = 0.75
"""The overlap with a silhouette under which a shape is unknown."""
STAIN = 0.6
"""Overlaps under this make a reading of the picture worse, not better."""
MOST_THINGS = 2


@dataclass(frozen=True, slots=True)
class SeenThing:
    """Words of the vocabulary. `overlap` with the nearest silhouette, 0 … 1, says how clear the shape is."""

    shape: str | None
    color: str | None
    size: str
    place: str
    middle: tuple[float, float]
    """(x, y) as parts of width and height, from the top left."""
    overlap: float


@dataclass(frozen=True, slots=True)
class Seen:
    """`things` from left to right, or from top to bottom where they stand so."""

    background: str | None
    things: tuple[SeenThing, ...]


NOTHING = Seen(None, ())


def describe(picture: Image.Image | NDArray[np.uint8]) -> Seen:
    """`picture`: an image, or (height, width, 3) sRGB. At least 32 pixels a side, or nothing is seen."""
    rgb = np.asarray(picture.convert("RGB") if isinstance(picture, Image.Image) else picture, dtype=np.float64)
    if min(rgb.shape[:2]) < 32:
        return NOTHING
    colors = lab(rgb)
    ground = _background(colors)
    if ground is None:
        return NOTHING
    contrast = np.linalg.norm(colors - ground, axis=-1)
    found = max((_things(colors, ground, contrast, least) for least in CONTRASTS), key=_clarity)
    return Seen(name_of(ground), found)


def _background(colors: Floats) -> Floats | None:
    """The colour of most of the rim; None when the rim is of many colours."""
    width = max(1, round(min(colors.shape[:2]) * EDGE))
    outside = np.ones(colors.shape[:2], dtype=bool)
    outside[width:-width, width:-width] = False
    rim = colors[outside]
    middle: Floats = np.median(rim, axis=0)
    even = np.linalg.norm(rim - middle, axis=1) <= EVEN
    return middle if even.mean() >= EVEN_PART else None


def _things(colors: Floats, ground: Floats, contrast: Floats, least: float) -> tuple[SeenThing, ...]:
    labels, count = ndimage.label(contrast > least, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] / labels.size
    large = [number for number in range(1, count + 1) if areas[number - 1] >= SMALLEST]
    if not 1 <= len(large) <= MOST_THINGS:
        return ()
    return _in_order([_thing(colors, ground, contrast, labels, number) for number in large])


def _thing(colors: Floats, ground: Floats, contrast: Floats, labels: Labels, number: int) -> SeenThing:
    inside = labels == number
    # Its strongest quarter: elsewhere blur has mixed the background in.
    strong = colors[inside & (contrast >= np.quantile(contrast[inside], 0.75))]
    color = np.median(strong, axis=0)
    # The pixel nearest to it: of a thing of many colours, no pixel may be near the median.
    covered = _coverage(colors, ground, strong[np.linalg.norm(strong - color, axis=1).argmin()])
    covered[(labels != number) & (labels != 0)] = 0
    # Only this thing and the blurred rim around it.
    covered[~ndimage.binary_dilation(inside, iterations=2)] = 0
    silhouette, (left, top, right, bottom) = _cut_out(covered)
    nearest_shape, overlap = nearest(silhouette)
    shape = nearest_shape if overlap >= CLEAR else None
    half = max(right - left, bottom - top) / 2 if shape is None else half_of(shape, float(covered.sum()))
    height, width = labels.shape
    middle = ((left + right) / 2 / width, (top + bottom) / 2 / height)
    return SeenThing(shape, name_of(color), _size(half / min(width, height)), _place(middle), middle, overlap)


def _coverage(colors: Floats, ground: Floats, color: Floats) -> Floats:
    """How far each pixel has gone from the background's colour to the thing's, 0 … 1."""
    way = color - ground
    part: Floats = np.clip((colors - ground) @ way / max(float(way @ way), 1e-9), 0, 1)
    return part


def _cut_out(covered: Floats) -> tuple[Floats, tuple[float, float, float, float]]:
    """The silhouette on the grid, and its box (left, top, right, bottom) in pixels, between pixels where need be."""
    rows, columns = (np.flatnonzero((covered >= 0.25).any(axis=axis)) for axis in (1, 0))
    top, bottom = max(rows[0] - 1, 0), min(rows[-1] + 2, covered.shape[0])
    left, right = max(columns[0] - 1, 0), min(columns[-1] + 2, covered.shape[1])
    finer = max(1, round(2 * GRID / max(bottom - top, right - left)))
    rough = Image.fromarray(covered[top:bottom, left:right].astype(np.float32))
    fine = np.asarray(rough.resize((rough.width * finer, rough.height * finer), Image.Resampling.BICUBIC))
    silhouette, box = boxed(fine >= 0.5)
    return silhouette, (
        box[0] / finer + left,
        box[1] / finer + top,
        box[2] / finer + left,
        box[3] / finer + top,
    )


def _size(half: float) -> str:
    """The nearest by ratio."""
    return min(SIZES, key=lambda size: abs(np.log(half / SIZES[size])))


def _place(middle: tuple[float, float]) -> str:
    return min(PLACES, key=lambda place: (PLACES[place][0] - middle[0]) ** 2 + (PLACES[place][1] - middle[1]) ** 2)


def _in_order(things: list[SeenThing]) -> tuple[SeenThing, ...]:
    if len(things) < MOST_THINGS:
        return tuple(things)
    (x, y), (other_x, other_y) = things[0].middle, things[1].middle
    axis = 0 if abs(x - other_x) >= abs(y - other_y) else 1
    return tuple(sorted(things, key=lambda thing: thing.middle[axis]))


def _clarity(things: tuple[SeenThing, ...]) -> float:
    """Two clear things beat one, one beats itself and a stain."""
    return sum(thing.overlap - STAIN for thing in things)
