"""Which pictures a step sees, and which part of them: cut-outs first, which are cheaper, whole pictures at the end."""

from dataclasses import dataclass

import torch

from training.recipe import CutOuts


@dataclass(frozen=True, slots=True)
class Cut:
    """`chosen`: (batch,) numbers of pictures. A square of `side`, from `top` and `left`, in pixels, the same in all."""

    chosen: torch.Tensor
    top: int
    left: int
    side: int

    def of(self, pictures: torch.Tensor, pixels: int = 1) -> torch.Tensor:
        """Of (n, channels, height, width), in which `pixels` of a picture's side are one: 8 for latents."""
        rows = slice(self.top // pixels, (self.top + self.side) // pixels)
        columns = slice(self.left // pixels, (self.left + self.side) // pixels)
        return pictures[self.chosen, :, rows, columns]


def cut(plan: CutOuts, count: int, side: int, grid: int, step: int, generator: torch.Generator) -> Cut:
    """From `count` pictures of `side`; cut-outs begin at multiples of `grid` pixels."""
    whole = step >= plan.crop_steps
    chosen = torch.randint(count, (plan.whole_batch if whole else plan.crop_batch,), generator=generator)
    if whole:
        return Cut(chosen, 0, 0, side)
    places = (side - plan.crop) // grid + 1
    top, left = (grid * int(at) for at in torch.randint(places, (2,), generator=generator))
    return Cut(chosen, top, left, plan.crop)
