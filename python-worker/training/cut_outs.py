"""Which pictures a step sees, and which part of each: small cut-outs first, which are cheaper, whole pictures at the end."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from training.recipe import Stretch


@dataclass(frozen=True, slots=True)
class Cut:
    """`chosen`: (batch,) numbers of pictures. Of each a square of `side`, from its `top` and `left`, in pixels."""

    chosen: Sequence[int]
    tops: Sequence[int]
    lefts: Sequence[int]
    side: int

    def of(self, pictures: torch.Tensor, pixels: int = 1) -> torch.Tensor:
        """Of (n, channels, height, width), in which `pixels` of a picture's side are one: 8 for latents."""
        side = self.side // pixels
        squares = [
            pictures[number, :, top // pixels :, left // pixels :][:, :side, :side]
            for number, top, left in zip(self.chosen, self.tops, self.lefts, strict=True)
        ]
        return torch.stack(squares).contiguous(memory_format=torch.channels_last)


def cut(
    stretches: Sequence[Stretch], count: int, side: int, grid: int, step: int, generator: torch.Generator
) -> Cut:
    """From `count` pictures of `side`; cut-outs begin at multiples of `grid` pixels."""
    now = _at(stretches, step)
    chosen = torch.randint(count, (now.batch,), generator=generator)
    corners = torch.randint((side - now.side) // grid + 1, (2, now.batch), generator=generator) * grid
    return Cut(chosen.tolist(), corners[0].tolist(), corners[1].tolist(), now.side)


def _at(stretches: Sequence[Stretch], step: int) -> Stretch:
    for stretch in stretches:
        if step < stretch.steps:
            return stretch
        step -= stretch.steps
    raise IndexError("a step beyond the last stretch")
