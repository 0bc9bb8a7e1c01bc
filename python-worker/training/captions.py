"""
The wordings of a scene. The first is the contract: `a [small|large] COLOR SHAPE [on the left|on the right|
at the top|at the bottom] on a COLOR background`, and `a COLOR SHAPE left of|above a COLOR SHAPE on a COLOR background`.
The others are what people type instead. Medium size and center are what no word means.
"""

from random import Random

from training.scenes import Lone, Pair, Scene, Thing

CONTRACT_SHARE = 0.5
SAID_PLACES = {"left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom"}
SAID_BACKWARDS = {"left of": "right of", "above": "below"}
ALSO_CALLED = {"gray": "grey"}
ALSO_CALLED_SHARE = 0.25


def contract(scene: Scene) -> str:
    if isinstance(scene, Lone):
        return f"a {_named(scene.thing, scene.place)} on a {scene.background} background"
    first, second = _words(scene.first), _words(scene.second)
    return f"a {first} {scene.relation} a {second} on a {scene.background} background"


def wording(scene: Scene, rng: Random) -> str:
    """One of the wordings by lot, half of the time that of the contract."""
    if rng.random() < CONTRACT_SHARE:
        said = contract(scene)
    else:
        said = rng.choice(_free_lone(scene) if isinstance(scene, Lone) else _free_pair(scene))
    said = _with_an(said) if rng.random() < 0.5 else said
    return _renamed(said, rng)


def _free_lone(scene: Lone) -> list[str]:
    thing, background = scene.thing, scene.background
    named, words = _named(thing, scene.place), _words(thing)
    place = SAID_PLACES.get(scene.place)
    aside = f", {place}" if place else ""
    return [
        f"{words}{aside}, {background} background",
        f"{named}, {background} background",
        f"{named} on a {background} background",
        f"{named} on {background}",
        f"{background} background, {named}",
        f"a {named}, {background} background",
        f"a {words} on a {background} background{aside}",
        f"a picture of a {named} on a {background} background",
        # Where no background is named, any will do.
        f"a {named}",
    ]


def _free_pair(scene: Pair) -> list[str]:
    first, second, background = _words(scene.first), _words(scene.second), scene.background
    backwards = SAID_BACKWARDS[scene.relation]
    return [
        f"{first} {scene.relation} {second}, {background} background",
        f"{first} {scene.relation} a {second} on {background}",
        f"{background} background, {first} {scene.relation} {second}",
        f"a {first} {scene.relation} a {second}, {background} background",
        f"a {second} {backwards} a {first} on a {background} background",
        f"{second} {backwards} {first}, {background} background",
    ]


def _named(thing: Thing, place: str) -> str:
    return " ".join(word for word in (_words(thing), SAID_PLACES.get(place)) if word)


def _words(thing: Thing) -> str:
    size = () if thing.size == "medium" else (thing.size,)
    return " ".join((*size, thing.color, thing.shape))


def _with_an(said: str) -> str:
    """The contract says "a orange ring" as well as "an orange ring"; so does the training."""
    return said.replace("a orange", "an orange")


def _renamed(said: str, rng: Random) -> str:
    for word, other in ALSO_CALLED.items():
        if rng.random() < ALSO_CALLED_SHARE:
            said = said.replace(word, other)
    return said
