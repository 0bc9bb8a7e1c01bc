"""The shapes as polygons, each in a box around (0, 0) whose larger side goes from -1 to 1; y points down."""

import math
from collections.abc import Callable, Mapping
from functools import cache

Point = tuple[float, float]
Outline = tuple[Point, ...]

RING_HOLE = 0.55
"""Radius of a ring's hole; its outline is the outer circle."""


@cache
def outline(shape: str) -> Outline:
    """`shape` is a key of SHAPES in the vocabulary; another one is a KeyError."""
    return _boxed(_OUTLINES[shape]())


def _circle(radius: float = 1.0, corners: int = 72) -> list[Point]:
    return [_on_circle(radius, 2 * math.pi * corner / corners) for corner in range(corners)]


def _square() -> list[Point]:
    return [(-1, -1), (1, -1), (1, 1), (-1, 1)]


def _triangle() -> list[Point]:
    return [(0, -0.9), (1, 0.9), (-1, 0.9)]


def _star(points: int = 5, inner: float = 0.42) -> list[Point]:
    return [_on_circle(inner if tip % 2 else 1.0, math.pi * tip / points) for tip in range(2 * points)]


def _cross(arm: float = 0.34) -> list[Point]:
    quarter = [(-arm, -1.0), (arm, -1.0), (arm, -arm)]
    return [_turned(point, quarters) for quarters in range(4) for point in quarter]


def _heart(corners: int = 72) -> list[Point]:
    def at(angle: float) -> Point:
        y = 13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle) - math.cos(4 * angle)
        return 16 * math.sin(angle) ** 3, -y

    return [at(2 * math.pi * corner / corners) for corner in range(corners)]


def _diamond(width: float = 0.72) -> list[Point]:
    return [(0, -1), (width, 0), (0, 1), (-width, 0)]


def _crescent(away: float = 0.42, radius: float = 0.78, corners: int = 40) -> list[Point]:
    """A disc without the disc of `radius` that lies `away` to the right of its middle."""
    x = (1 - radius**2 + away**2) / (2 * away)
    y = math.sqrt(1 - x**2)
    outer, inner = math.atan2(y, x), math.atan2(y, x - away)
    back = [_between(outer, 2 * math.pi - outer, step / corners) for step in range(corners + 1)]
    front = [_between(2 * math.pi - inner, inner, step / corners) for step in range(corners + 1)]
    return [(math.cos(a), math.sin(a)) for a in back] + [
        (away + radius * math.cos(a), radius * math.sin(a)) for a in front
    ]


def _arrow(shaft: float = 0.28, head: float = 0.8) -> list[Point]:
    return [(-1, -shaft), (0.1, -shaft), (0.1, -head), (1, 0), (0.1, head), (0.1, shaft), (-1, shaft)]


_OUTLINES: Mapping[str, Callable[[], list[Point]]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "ring": _circle,
    "cross": _cross,
    "heart": _heart,
    "diamond": _diamond,
    "crescent": _crescent,
    "arrow": _arrow,
}


def _on_circle(radius: float, angle: float) -> Point:
    """Clockwise from the top."""
    return radius * math.sin(angle), -radius * math.cos(angle)


def _turned(point: Point, quarters: int) -> Point:
    x, y = point
    for _ in range(quarters):
        x, y = -y, x
    return x, y


def _between(start: float, end: float, part: float) -> float:
    return start + (end - start) * part


def _boxed(points: list[Point]) -> Outline:
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top, bottom = min(y for _, y in points), max(y for _, y in points)
    half = max(right - left, bottom - top) / 2
    return tuple(((x - (left + right) / 2) / half, (y - (top + bottom) / 2) / half) for x, y in points)
