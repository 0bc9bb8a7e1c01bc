"""What the lessons have in common: where things are in pictures, and how far what comes back is from what was drawn."""

import torch
from torch.nn.functional import max_pool2d

FAINT = 20
"""Of 255: what differs less than so much from the background is background."""


def mask_of_things(pictures: torch.Tensor) -> torch.Tensor:
    """(n, 1, height, width), true where whole `pictures` show no background; their rims show nothing else."""
    return (pictures.int() - pictures[:, :, :1, :1].int()).abs().amax(dim=1, keepdim=True) > FAINT


def widened(mask: torch.Tensor, part: float) -> torch.Tensor:
    """(n, 1, height, width), true up to `part` of the width away from where `mask` is, along both axes."""
    around = round(part * mask.shape[-1])
    return max_pool2d(mask.float(), 2 * around + 1, stride=1, padding=around) > 0


def misses(back: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """(n, 1, height, width), how far each pixel is off."""
    off = (back - pictures).abs()
    return (off + off.square()).mean(dim=1, keepdim=True)


def difference(back: torch.Tensor, pictures: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Of (n, 3, height, width). All things together, where `mask` is true, count as much as all background."""
    each = misses(back, pictures)
    return (each * mask).sum() / mask.sum().clamp(min=1) + (each * ~mask).sum() / (~mask).sum().clamp(min=1)
