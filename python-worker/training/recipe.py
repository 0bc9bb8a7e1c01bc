"""
The numbers of a training. The full one makes the model in the box; the miniature runs in the tests.

Steps are counted, not timed, so that a seed gives the same weights whatever else the machine does. Sides are in pixels.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many `steps`, each on `batch` cut-outs of `side`; the last stretch of a stage sees whole pictures."""

    side: int
    steps: int
    batch: int


Stretches = tuple[Stretch, ...]


def steps_of(stretches: Stretches) -> int:
    return sum(stretch.steps for stretch in stretches)


@dataclass(frozen=True, slots=True)
class AutoencoderRecipe:
    channels: tuple[int, ...]
    stretches: Stretches
    rate: float = 2e-3


@dataclass(frozen=True, slots=True)
class Drill:
    """So many `steps`, each on `batch` whole pictures, or captions; the learning rate rises and falls under `rate`."""

    steps: int
    batch: int
    rate: float


@dataclass(frozen=True, slots=True)
class DenoiserRecipe:
    """Of the text encoder as well, which is trained along, more slowly. `rate` is that of Muon."""

    channels: tuple[int, ...]
    text_width: int
    steps: int
    batch: int
    rate: float = 4e-3


@dataclass(frozen=True, slots=True)
class Recipe:
    """
    `colors` is what the autoencoder learns of them, `decoder` what its decoder does alone, `reading` the text encoder;
    `save_every`: steps between two checkpoints.
    """

    pictures: int
    side: int
    autoencoder: AutoencoderRecipe
    colors: Drill
    decoder: Drill
    reading: Drill
    denoiser: DenoiserRecipe
    save_every: int = 200


LESSONS = 6
"""Goes up when a step learns, or a checkpoint holds, something else: then none of before is gone on from."""
FULL = Recipe(
    pictures=20_000,
    side=128,
    autoencoder=AutoencoderRecipe(
        channels=(16, 32, 64, 64),
        stretches=(
            Stretch(32, steps=2_000, batch=32),
            Stretch(64, steps=400, batch=16),
            Stretch(128, steps=500, batch=8),
        ),
    ),
    colors=Drill(steps=400, batch=8, rate=1.5e-3),
    decoder=Drill(steps=800, batch=8, rate=1e-3),
    reading=Drill(steps=600, batch=128, rate=1e-3),
    denoiser=DenoiserRecipe(channels=(64, 96, 128), text_width=128, steps=3_400, batch=32),
)
MINIATURE = Recipe(
    pictures=256,
    side=32,
    autoencoder=AutoencoderRecipe(
        channels=(16, 32, 32),
        stretches=(Stretch(16, steps=150, batch=16), Stretch(32, steps=50, batch=8)),
        rate=3e-3,
    ),
    colors=Drill(steps=120, batch=8, rate=3e-3),
    decoder=Drill(steps=40, batch=8, rate=3e-4),
    reading=Drill(steps=240, batch=64, rate=3e-3),
    denoiser=DenoiserRecipe(channels=(32, 64), text_width=32, steps=160, batch=16, rate=8e-3),
    save_every=40,
)
