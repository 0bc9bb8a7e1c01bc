"""Colours as people tell them apart: CIE L*a*b* and the nearest name."""

import numpy as np
from numpy.typing import NDArray

from kilnwatt_worker.quality.vocabulary import COLORS

Floats = NDArray[np.float64]

FARTHEST = 26.0
"""Distance in L*a*b* beyond which a colour has no name here. What is drawn strays by about 4."""

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(axis=1)


def lab(rgb: Floats) -> Floats:
    """(…, 3) sRGB of 0 … 255 to (…, 3) CIE 1976 L*a*b* under D65."""
    value = rgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _TO_XYZ.T / _WHITE
    x, y, z = np.moveaxis(np.where(ratio > 216 / 24389, np.cbrt(ratio), (ratio * 24389 / 27 + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def name_of(color: Floats) -> str | None:
    """`color`: (3,) in L*a*b*. None when no colour of the vocabulary is near."""
    distances = np.linalg.norm(_PALETTE - color, axis=1)
    nearest = int(distances.argmin())
    return _NAMES[nearest] if distances[nearest] <= FARTHEST else None


_NAMES = tuple(COLORS)
_PALETTE = lab(np.array([COLORS[name] for name in _NAMES], dtype=np.float64))
