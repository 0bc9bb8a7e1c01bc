"""Which pictures a step sees, and which part of each: small cut-outs first, which are cheaper, whole ones last."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from training.closeness import mask_of_things
from training.recipe import Stretch

GRID = 8
"""Cut-outs begin at multiples of so many pixels."""


@dataclass(frozen=True, slots=True)
class CutOut:
    """`pictures`: (batch, 3, side, side), uint8. `mask`: (batch, 1, side, side), true where things are."""

    pictures: torch.Tensor
    mask: torch.Tensor


def cut(stretches: Sequence[Stretch], pictures: torch.Tensor, step: int, generator: torch.Generator) -> CutOut:
    """
    Of `pictures`, (n, 3, height, width). Each cut-out holds a piece of a thing: most of a picture is background, of
    which nothing more is to be learnt.
    """
    now = _at(stretches, step)
    chosen = pictures[torch.randint(len(pictures), (now.batch,), generator=generator)]
    found = mask_of_things(chosen)
    chances = torch.rand((now.batch, 3), generator=generator).tolist()
    corners = [_corner(one[0], now.side, *some) for one, some in zip(found, chances, strict=True)]
    return CutOut(_squares(chosen, corners, now.side), _squares(found, corners, now.side))


def _corner(mask: torch.Tensor, side: int, which: float, down: float, right: float) -> tuple[int, int]:
    """Of a square that holds a point of the `mask`, by chance (0 … 1 each) which one, and how far from its corner."""
    points = mask.nonzero()
    point = points[int(which * len(points))].tolist() if len(points) else (0, 0)
    top, left = (int(at - way * (side - GRID)) // GRID * GRID for at, way in zip(point, (down, right), strict=True))
    return min(max(top, 0), mask.shape[0] - side), min(max(left, 0), mask.shape[1] - side)


def _squares(pictures: torch.Tensor, corners: Sequence[tuple[int, int]], side: int) -> torch.Tensor:
    squares = [
        picture[:, top : top + side, left : left + side] for picture, (top, left) in zip(pictures, corners, strict=True)
    ]
    return torch.stack(squares).contiguous(memory_format=torch.channels_last)


def _at(stretches: Sequence[Stretch], step: int) -> Stretch:
    for stretch in stretches:
        if step < stretch.steps:
            return stretch
        step -= stretch.steps
    raise IndexError("a step beyond the last stretch")
