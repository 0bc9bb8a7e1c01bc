"""
The words that the model in the box knows, and what each means in a picture.

Lengths are parts of the picture's side, so they hold at every size; places are (x, y) from the top left.
"""

from collections.abc import Mapping

Rgb = tuple[int, int, int]

COLORS: Mapping[str, Rgb] = {
    "red": (214, 46, 48),
    "green": (44, 158, 70),
    "blue": (48, 88, 214),
    "yellow": (243, 208, 52),
    "purple": (142, 64, 176),
    "orange": (242, 134, 34),
    "white": (245, 245, 243),
    "black": (23, 23, 25),
    "pink": (244, 154, 190),
    "gray": (132, 133, 136),
}
"""sRGB, 0 … 255. What is drawn strays a little from it."""

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "heart", "diamond", "crescent", "arrow")
"""A crescent is open to the right; an arrow points there."""

SIZES: Mapping[str, float] = {"small": 0.14, "medium": 0.21, "large": 0.30}
"""Half of the larger side of the box around a shape. Medium is never said: it is what no word means."""

PLACES: Mapping[str, tuple[float, float]] = {
    "center": (0.5, 0.5),
    "left": (0.31, 0.5),
    "right": (0.69, 0.5),
    "top": (0.5, 0.31),
    "bottom": (0.5, 0.69),
}
"""The middle of the box around a lone shape. The center is never said."""

PAIR_SIZE = 0.18
PAIR_PLACES: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "left of": ((0.27, 0.5), (0.73, 0.5)),
    "above": ((0.5, 0.27), (0.5, 0.73)),
}
"""By relation: the places of the first and of the second shape."""
