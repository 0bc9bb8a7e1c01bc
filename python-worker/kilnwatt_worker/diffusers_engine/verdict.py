"""What a window took, decided from all that its card told. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from kilnwatt_worker.diffusers_engine.power_samples import Integrated
from kilnwatt_worker.diffusers_engine.sharing import Sharing
from kilnwatt_worker.energy import CounterEnds, Energy, EnergyFlag, EnergyWindow

SHORTEST_SECONDS = 2.0
"""A shorter window is coarse: at 300 W one step of a counter that moves ten times a second is 30 J."""
FEWEST_STEPS = 20
STEP_SECONDS = 0.1
"""Of a counter, at most: what a window tells too much or too little at either end."""
DEAD_SECONDS = 1.0
"""A counter that stands still for longer does not count."""
MOST_OF_LIMIT = 1.3
COMPARED_SECONDS = 10.0
MOST_APART = 0.1


@dataclass(frozen=True, slots=True)
class Told:
    """Of one window, by one card."""

    gpu: str
    from_ms: int
    to_ms: int
    seconds: float
    """By a clock that nobody sets."""
    counters: Sequence[int | None]
    """Readings of the counter in their order, the first and the last at the ends of the window."""
    integral: Integrated | None
    limit_mw: int | None
    sharing: Sharing


def energy_of(told: Told) -> Energy:
    """
    The counter where it can be believed, else the integral, else unknown; without the part of others. The window keeps
    the counter as it was read, believed or not.
    """
    ends = _ends(told.counters)
    doubt = _doubt(told, ends)
    flags = set(_flags(told, ends, doubt))
    whole: int | None = None
    meter: Literal["nvml_counter", "power_integral", "none"] = "none"
    if ends is not None and doubt is None:
        whole, meter = ends.to_mj - ends.from_mj, "nvml_counter"
    elif told.integral is not None:
        whole, meter = told.integral.told.millijoules, "power_integral"
        flags |= {"coarse"} if told.integral.is_coarse else set()
    foreign = _foreign(told.sharing.foreign, whole)
    window = EnergyWindow(
        told.gpu, told.from_ms, told.to_ms, ends, None if told.integral is None else told.integral.told, foreign
    )
    if whole is None or foreign is None:
        return Energy(None, "none", "unknown", _in_order(flags - {"coarse"}), None, window)
    is_ours = told.sharing.foreign == 0
    is_whole = meter == "nvml_counter" and is_ours and told.sharing.is_known
    # No bound is known of a share of the card's time.
    bound = told.integral.told.bound_mj if meter == "power_integral" and told.integral and is_ours else None
    return Energy(whole - foreign, meter, "measured" if is_whole else "derived", _in_order(flags), bound, window)


def _ends(counters: Sequence[int | None]) -> CounterEnds | None:
    first, last = (counters[0], counters[-1]) if counters else (None, None)
    return None if first is None or last is None else CounterEnds(first, last)


def _doubt(told: Told, ends: CounterEnds | None) -> EnergyFlag | None:
    """Why the counter is not believed."""
    if ends is None:
        return None
    read = [counter for counter in told.counters if counter is not None]
    if any(after < before for before, after in pairwise(read)):
        return "counter_fell"
    rise = ends.to_mj - ends.from_mj
    if rise == 0 and told.seconds > DEAD_SECONDS:
        return "implausible"
    most = None if told.limit_mw is None else MOST_OF_LIMIT * told.limit_mw * (told.seconds + STEP_SECONDS)
    return "implausible" if most is not None and rise > most else None


def _flags(told: Told, ends: CounterEnds | None, doubt: EnergyFlag | None) -> list[EnergyFlag]:
    flags: list[EnergyFlag] = []
    is_counted = ends is not None and doubt is None
    if told.seconds < SHORTEST_SECONDS or (is_counted and _has_few_steps(told.counters)):
        flags.append("coarse")
    if doubt is not None:
        flags.append(doubt)
    if ends is not None and is_counted and _disagree(told, ends.to_mj - ends.from_mj):
        flags.append("disagrees")
    if told.sharing.foreign != 0:
        flags.append("shared_gpu")
    if not told.sharing.is_known:
        flags.append("sharing_unknown")
    return flags


def _has_few_steps(counters: Sequence[int | None]) -> bool:
    """Where it was not read often enough, it may have made more steps than were seen."""
    read = [counter for counter in counters if counter is not None]
    steps = sum(before != after for before, after in pairwise(read))
    return len(read) > FEWEST_STEPS and steps < FEWEST_STEPS


def _disagree(told: Told, rise: int) -> bool:
    if told.integral is None or told.seconds < COMPARED_SECONDS:
        return False
    return abs(told.integral.told.millijoules - rise) > MOST_APART * rise


def _foreign(part: float | None, whole: int | None) -> int | None:
    if part == 0:
        return 0
    return None if part is None or whole is None else round(whole * part)


def _in_order(flags: set[EnergyFlag]) -> tuple[EnergyFlag, ...]:
    return tuple(sorted(flags))
