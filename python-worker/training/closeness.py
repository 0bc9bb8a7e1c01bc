"""What the lessons of pictures have in common: how far what comes back is from what was drawn."""

import torch

FAINT = 20
"""Of 255: what differs less than so much from the background is background."""


def mask_of_things(pictures: torch.Tensor) -> torch.Tensor:
    """(n, 1, height, width), true where whole `pictures` show no background; their rims show nothing else."""
    return (pictures.int() - pictures[:, :, :1, :1].int()).abs().amax(dim=1, keepdim=True) > FAINT


def misses(back: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """(n, 1, height, width), how far each pixel is off."""
    off = (back - pictures).abs()
    return (off + off.square()).mean(dim=1, keepdim=True)


def difference(back: torch.Tensor, pictures: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Of (n, 3, height, width). All things together, where `mask` is true, count as much as all background."""
    each = misses(back, pictures)
    return (each * mask).sum() / mask.sum().clamp(min=1) + (each * ~mask).sum() / (~mask).sum().clamp(min=1)
