"""How close two pictures are that should be one."""

from pathlib import Path

import numpy as np
from PIL import Image


def psnr(one: Path, other: Path) -> float:
    """In decibels, over eight bits; infinite where they are equal."""
    first, second = (np.asarray(Image.open(path).convert("RGB"), dtype=np.float64) for path in (one, other))
    error = float(((first - second) ** 2).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))
