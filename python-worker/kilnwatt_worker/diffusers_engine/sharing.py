"""Who else computed on the card in a window, and what part of the card's energy was theirs."""

import os
from dataclasses import dataclass

from kilnwatt_worker.card import Card, Utilisation

SAMPLE_SECONDS = 2.0
"""In a longer window, the driver has sampled who uses the card; in a shorter one no sample says nothing."""


@dataclass(frozen=True, slots=True)
class Sharing:
    foreign: float | None
    """Part of the window's energy, 0 to 1; None where others worked and theirs cannot be told."""
    is_known: bool
    """False where the card does not tell who computes on it, at least for a part of the window."""


@dataclass(frozen=True, slots=True)
class _Look:
    seconds: float
    """Since the look before."""
    others: bool
    used: Utilisation | None
    foreign: float
    """Of the time of the card that was used at all."""


class Onlooker:
    """
    Looks at the beginning, about once a second, and at the end. Our process has a context on the card all the while, so
    a list without it is one of other numbers (a container) or none at all (WSL2), and says nothing.
    """

    def __init__(self, card: Card, now: float, own: int | None = None) -> None:
        self._card = card
        self._own = os.getpid() if own is None else own
        self._at = now
        self._pids = card.pids()
        drained = card.utilisation(0)
        self._since = 0 if drained is None else drained.until
        self._looks: list[_Look] = []
        self._is_blind = not self._lists_us()

    def look(self, now: float) -> None:
        before = self._pids
        self._pids = self._card.pids()
        used = self._card.utilisation(self._since)
        self._since = self._since if used is None else used.until
        if self._lists_us():
            listed = (before or frozenset()) | (self._pids or frozenset())
            # Games and desktops are in no list of those that compute: only their use of the card tells of them.
            others = (listed | (frozenset() if used is None else used.users())) - {self._own}
            self._looks.append(_Look(now - self._at, bool(others), used, _part_of(others, used)))
        else:
            self._is_blind = True
        self._at = now

    def told(self, seconds: float) -> Sharing:
        """After the last look, of a window of so many seconds. Parts are weighed by the time that each look covers."""
        shared = [look for look in self._looks if look.others]
        is_untold = any(look.used is None for look in shared)
        is_silent = seconds < SAMPLE_SECONDS and not any(look.used and look.used.by_pid for look in shared)
        if shared and (is_untold or is_silent):
            return Sharing(None, not self._is_blind)
        weight = sum(look.seconds for look in self._looks)
        foreign = sum(look.foreign * look.seconds for look in self._looks)
        return Sharing(foreign / weight if weight > 0 else 0.0, not self._is_blind)

    def _lists_us(self) -> bool:
        return self._pids is not None and self._own in self._pids


def _part_of(others: frozenset[int], used: Utilisation | None) -> float:
    if used is None:
        return 0.0
    whole = sum(used.sum_of(pid) for pid in used.by_pid)
    theirs = sum(used.sum_of(pid) for pid in others)
    return theirs / whole if whole > 0 else 0.0
