"""
How far is a picture from another one of the same size? Pictures are (height, width, 3), uint8, sRGB.

All of these raise ValueError on two sizes.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kilnwatt_worker.quality.color import Floats

Picture = NDArray[np.uint8]

PEAK = 255.0
SIGMA, RADIUS = 1.5, 5
"""Of the window in which SSIM compares, in pixels; 11 pixels wide."""


def mean_absolute_difference(one: Picture, other: Picture) -> float:
    """In steps of 8 bits: 0 … 255."""
    first, second = _both(one, other)
    return float(np.abs(first - second).mean())


def psnr(one: Picture, other: Picture) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures."""
    first, second = _both(one, other)
    error = float(((first - second) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def ssim(one: Picture, other: Picture) -> float:
    """
    Structural similarity, -1 … 1, averaged over the channels, with the Gaussian window and the constants of
    Wang, Bovik, Sheikh and Simoncelli (2004). Pictures need 11 pixels a side.
    """
    first, second = _both(one, other)
    if min(first.shape[:2]) <= 2 * RADIUS:
        raise ValueError(f"SSIM needs pictures of at least {2 * RADIUS + 1} pixels a side, not {first.shape[:2]}")
    steady, lively = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_1, mean_2 = _smooth(first), _smooth(second)
    spread_1, spread_2 = _smooth(first**2) - mean_1**2, _smooth(second**2) - mean_2**2
    shared = _smooth(first * second) - mean_1 * mean_2
    alike = (2 * mean_1 * mean_2 + steady) * (2 * shared + lively)
    return float((alike / ((mean_1**2 + mean_2**2 + steady) * (spread_1 + spread_2 + lively))).mean())


def _smooth(values: Floats) -> Floats:
    """Only where the whole window lies inside the picture."""
    smooth: Floats = ndimage.gaussian_filter(values, SIGMA, radius=RADIUS, axes=(0, 1))
    return smooth[RADIUS:-RADIUS, RADIUS:-RADIUS]


def _both(one: Picture, other: Picture) -> tuple[Floats, Floats]:
    if one.shape != other.shape:
        raise ValueError(f"pictures of two sizes cannot be compared: {one.shape} and {other.shape}")
    return one.astype(np.float64), other.astype(np.float64)
