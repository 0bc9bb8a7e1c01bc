"""Is a picture what its prompt asked for? Prompt accuracy is the part of the verdicts that are right."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from kilnwatt_worker.quality.describe import Seen
from kilnwatt_worker.quality.prompt import Asked


@dataclass(frozen=True, slots=True)
class Verdict:
    """Each question's answer for all things of the picture together; None where the prompt leaves it open."""

    color: bool | None
    background: bool | None
    shape: bool | None
    size: bool | None
    position: bool | None

    @property
    def right(self) -> bool:
        return all(answer is not False for answer in self.answers().values())

    def answers(self) -> dict[str, bool | None]:
        return {question: getattr(self, question) for question in QUESTIONS}


QUESTIONS = tuple(field.name for field in fields(Verdict))


def judge(asked: Asked, seen: Seen) -> Verdict:
    """Unknown counts as wrong, and so does another number of things than was asked for, in all that is said of them."""
    background = None if asked.background is None else seen.background == asked.background

    def answer(what: str) -> bool | None:
        wanted = [getattr(thing, what) for thing in asked.things]
        if all(value is None for value in wanted):
            return None
        found = [getattr(thing, what) for thing in seen.things]
        return len(found) == len(wanted) and all(
            value in (None, other) for value, other in zip(wanted, found, strict=True)
        )

    return Verdict(answer("color"), background, answer("shape"), answer("size"), answer("place"))


def accuracy(verdicts: Iterable[Verdict]) -> dict[str, float | None]:
    """By question, and `all` for pictures that are wholly right; None where no prompt asked."""
    rows = list(verdicts)
    parts = {question: _part([verdict.answers()[question] for verdict in rows]) for question in QUESTIONS}
    return {**parts, "all": _part([verdict.right for verdict in rows])}


def _part(answers: list[bool | None]) -> float | None:
    given = [answer for answer in answers if answer is not None]
    return sum(given) / len(given) if given else None
