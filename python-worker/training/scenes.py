"""
What a picture shows, drawn by lot. A tenth of all (shape, colour, background, size) combinations, chosen by a
hash, is held out of the training: no scene with such an object is ever drawn for it, alone or in a pair.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from kilnwatt_worker.quality.vocabulary import COLORS, PAIR_PLACES, PLACES, SHAPES, SIZES

PAIR_SHARE = 0.3
HELD_OUT_ONE_IN = 10


@dataclass(frozen=True, slots=True)
class Thing:
    shape: str
    color: str
    size: str


@dataclass(frozen=True, slots=True)
class Lone:
    """One thing; `place` is a key of PLACES."""

    background: str
    thing: Thing
    place: str

    @property
    def things(self) -> tuple[Thing, ...]:
        return (self.thing,)


@dataclass(frozen=True, slots=True)
class Pair:
    """`first` stands in `relation`, a key of PAIR_PLACES, to `second`. Both are of one size, said by no word."""

    background: str
    first: Thing
    second: Thing
    relation: str

    @property
    def things(self) -> tuple[Thing, ...]:
        return (self.first, self.second)


Scene = Lone | Pair


def held_out(thing: Thing, background: str) -> bool:
    """The same answer on every machine, for ever: the model in the box was trained by it."""
    combination = f"{thing.shape} {thing.color} {background} {thing.size}"
    return hashlib.sha256(combination.encode()).digest()[0] % HELD_OUT_ONE_IN == 0


def is_unseen(scene: Scene) -> bool:
    """True when the scene is outside the training: some thing in it is held out."""
    return any(held_out(thing, scene.background) for thing in scene.things)


def scene_for_training(rng: Random) -> Scene:
    make = pair if rng.random() < PAIR_SHARE else lone
    return _until(make, rng, lambda scene: not is_unseen(scene))


def scene_for_examination(rng: Random, make: Callable[[Random], Scene]) -> Scene:
    """`make` is `lone` or `pair`."""
    return _until(make, rng, is_unseen)


def lone(rng: Random) -> Scene:
    color, background = rng.sample(list(COLORS), 2)
    return Lone(background, Thing(rng.choice(SHAPES), color, rng.choice(list(SIZES))), rng.choice(list(PLACES)))


def pair(rng: Random) -> Scene:
    background = rng.choice(list(COLORS))
    others = [color for color in COLORS if color != background]
    first, second = (Thing(rng.choice(SHAPES), rng.choice(others), "medium") for _ in range(2))
    return Pair(background, first, second, rng.choice(list(PAIR_PLACES)))


def _until(make: Callable[[Random], Scene], rng: Random, fits: Callable[[Scene], bool]) -> Scene:
    while not fits(scene := make(rng)):
        pass
    return scene
