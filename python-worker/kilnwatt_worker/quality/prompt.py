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
    things = _pair(rest) if _RELATION.search(rest) else _lone(rest)
    return None if things is None else Asked(background[1] if background else None, things)


def _lone(words: str) -> tuple[AskedThing, ...] | None:
    found = _THING.findall(words)
    if len(found) != 1:
        return None
    place = _PLACE.search(words)
    size, color, shape = found[0]
    return (AskedThing(shape, color, size or "medium", place[1] if place else "center"),)


def _pair(words: str) -> tuple[AskedThing, ...] | None:
    before, relation, after = _RELATION.split(words, maxsplit=1)
    sides = [_THING.findall(part) for part in (before, after)]
    if any(len(side) != 1 for side in sides):
        return None
    if relation in _BACKWARDS:
        relation, sides = _BACKWARDS[relation], sides[::-1]
    return tuple(
        AskedThing(shape, color, None, place)
        for [(_, color, shape)], place in zip(sides, _SIDES[relation], strict=True)
    )


_COLOR, _SHAPE = "|".join(COLORS), "|".join(SHAPES)
_THING = re.compile(rf"\b(?:(small|large) )?({_COLOR}) ({_SHAPE})\b")
_BACKGROUND = (re.compile(rf"\b(?:on )?({_COLOR}) background\b"), re.compile(rf"\bon ({_COLOR})\b(?! (?:{_SHAPE})\b)"))
_RELATION = re.compile(r"\b(left of|right of|above|below)\b")
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
