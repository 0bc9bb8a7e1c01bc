"""Reads a prompt of the model in the box: what would a picture have to show to be right?"""

import re
from dataclasses import dataclass

from kilnwatt_worker.quality.vocabulary import COLORS, PLACES, SHAPES


@dataclass(frozen=True, slots=True)
class AskedThing:
    """Words of the vocabulary; None is what the prompt leaves open."""

    shape: str
    color: str
    size: str | None
    place: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """`things` from left to right, or from top to bottom where the prompt sets one above the other."""

    background: str | None
    things: tuple[AskedThing, ...]


def read(prompt: str) -> Asked | None:
    """
    None when the prompt names no thing, or more than the grammar knows. A lone thing of which no word says where
    and how large is in the center and of medium size: so the model was taught.
    """
    words = _plain(prompt)
    background = _background(words)
    rest = words if background is None else words.replace(background[0], " ")
    relation = _RELATION.search(rest)
    if relation is not None:
        sides = [_THING.findall(part) for part in (rest[: relation.start()], rest[relation.end() :])]
        if any(len(side) != 1 for side in sides):
            return None
        first, second = (_place_of_pair(side[0], relation[0], number) for number, side in enumerate(sides))
        things: tuple[AskedThing, ...] = (first, second) if relation[0] in ("left of", "above") else (second, first)
    else:
        found = _THING.findall(rest)
        if len(found) != 1:
            return None
        place = _PLACE.search(rest)
        size, color, shape = found[0]
        things = (AskedThing(shape, color, size or "medium", place[1] if place else "center"),)
    return Asked(background[1] if background else None, things)


_COLOR, _SHAPE = "|".join(COLORS), "|".join(SHAPES)
_THING = re.compile(rf"\b(?:(small|large) )?({_COLOR}) ({_SHAPE})\b")
_BACKGROUND = (re.compile(rf"\b(?:on )?({_COLOR}) background\b"), re.compile(rf"\bon ({_COLOR})\b(?! (?:{_SHAPE})\b)"))
_RELATION = re.compile(r"\b(?:left of|right of|above|below)\b")
_PLACE = re.compile(rf"\b({'|'.join(place for place in PLACES if place != 'center')})\b")
_SIDES = {"left of": ("left", "right"), "above": ("top", "bottom")}
_BACKWARDS = {"right of": "left of", "below": "above"}


def _plain(prompt: str) -> str:
    """Lower case, one name a colour, no articles, single spaces; a comma stays a border that no pattern crosses."""
    words = re.sub(r"[^a-z,]+", " ", prompt.lower()).replace("grey", "gray").replace(",", " , ")
    return " ".join(word for word in words.split() if word not in ("a", "an", "the"))


def _background(words: str) -> tuple[str, str] | None:
    """The words that say it, and its colour."""
    found = next((match for pattern in _BACKGROUND if (match := pattern.search(words))), None)
    return None if found is None else (found[0], found[1])


def _place_of_pair(thing: tuple[str, str, str], relation: str, number: int) -> AskedThing:
    _, color, shape = thing
    if relation in _BACKWARDS:
        return AskedThing(shape, color, None, _SIDES[_BACKWARDS[relation]][1 - number])
    return AskedThing(shape, color, None, _SIDES[relation][number])
