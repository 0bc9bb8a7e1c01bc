"""The pictures and captions of a training, the same for the same seed, and a few that the training never sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch

from training.captions import wording
from training.drawing import draw
from training.scenes import Scene, lone, pair, scene_for_examination, scene_for_training

WORDINGS = 4
"""Captions of each picture."""
UNSEEN = 64


@dataclass(frozen=True, slots=True)
class Drawn:
    """`pictures` is (n, 3, side, side), uint8, channels last in memory; `captions` has WORDINGS lines a picture."""

    pictures: torch.Tensor
    captions: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.captions)


def drawn(count: int, side: int, seed: int) -> Drawn:
    return _draw([scene_for_training(_rng(seed, "scene", index)) for index in range(count)], side, seed)


def unseen(side: int, seed: int) -> Drawn:
    """Each with a held-out combination, half of them pairs."""
    makes = (lone, pair)
    scenes = [scene_for_examination(_rng(seed, "unseen", index), makes[index % 2]) for index in range(UNSEEN)]
    return _draw(scenes, side, seed + 1)


def as_model_sees(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 to float, -1 … 1."""
    return pictures.float() / 127.5 - 1


def _draw(scenes: Sequence[Scene], side: int, seed: int) -> Drawn:
    pictures = np.empty((len(scenes), side, side, 3), dtype=np.uint8)
    captions = []
    for index, scene in enumerate(scenes):
        rng = _rng(seed, "picture", index)
        pictures[index] = draw(scene, rng, side)
        captions.append([wording(scene, rng) for _ in range(WORDINGS)])
    return Drawn(torch.from_numpy(pictures).permute(0, 3, 1, 2), captions)


def _rng(seed: int, what: str, index: int) -> Random:
    return Random(f"{seed} {what} {index}")
