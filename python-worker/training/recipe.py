"""
The numbers of a training. The full one makes the model in the box; the miniature runs in the tests.

Steps are counted, not timed, so that a seed gives the same weights whatever else the machine does. Sides are in pixels.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CutOuts:
    """`crop` is the side of the cut-outs on which most of a training is done, `whole_steps` come after them."""

    crop: int
    crop_steps: int
    crop_batch: int
    whole_steps: int
    whole_batch: int

    @property
    def steps(self) -> int:
        return self.crop_steps + self.whole_steps


@dataclass(frozen=True, slots=True)
class AutoencoderRecipe:
    channels: tuple[int, ...]
    cut_outs: CutOuts
    rate: float = 2e-3


@dataclass(frozen=True, slots=True)
class DecoderRecipe:
    """Of what the autoencoder's decoder learns on, alone."""

    cut_outs: CutOuts
    rate: float = 1e-3


@dataclass(frozen=True, slots=True)
class DenoiserRecipe:
    """Of the text encoder as well, which is trained along."""

    channels: tuple[int, ...]
    text_width: int
    steps: int
    batch: int
    rate: float = 1e-3


@dataclass(frozen=True, slots=True)
class Recipe:
    """`save_every`: steps between two checkpoints."""

    pictures: int
    side: int
    autoencoder: AutoencoderRecipe
    decoder: DecoderRecipe
    denoiser: DenoiserRecipe
    save_every: int = 200


FULL = Recipe(
    pictures=20_000,
    side=128,
    autoencoder=AutoencoderRecipe(
        channels=(16, 32, 64, 64),
        cut_outs=CutOuts(crop=64, crop_steps=4_600, crop_batch=8, whole_steps=400, whole_batch=4),
    ),
    decoder=DecoderRecipe(CutOuts(crop=64, crop_steps=2_400, crop_batch=8, whole_steps=1_000, whole_batch=4)),
    denoiser=DenoiserRecipe(channels=(64, 96, 128), text_width=128, steps=4_200, batch=32),
)
MINIATURE = Recipe(
    pictures=256,
    side=32,
    autoencoder=AutoencoderRecipe(
        channels=(16, 32, 32),
        cut_outs=CutOuts(crop=16, crop_steps=150, crop_batch=16, whole_steps=50, whole_batch=8),
        rate=3e-3,
    ),
    decoder=DecoderRecipe(CutOuts(crop=16, crop_steps=20, crop_batch=8, whole_steps=20, whole_batch=8)),
    denoiser=DenoiserRecipe(channels=(32, 64), text_width=32, steps=120, batch=16, rate=3e-3),
    save_every=40,
)
