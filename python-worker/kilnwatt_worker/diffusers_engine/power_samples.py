"""Energy from samples of a card's power, and how far from the truth it can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kilnwatt_worker.energy import Integral

LONGEST_GAP_SECONDS = 5.0
"""Over a longer one nothing is known of the power in between."""
COARSE_GAP_SECONDS = 1.0
COARSE_PART = 0.05
"""Of the value: a wider bound is coarse."""
SMEARED_SECONDS = 1.0
"""That a sample is the mean of, where the card does not tell its power of the moment."""


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    """Seconds of a monotonic clock."""
    milliwatts: int


@dataclass(frozen=True, slots=True)
class Integrated:
    told: Integral
    is_coarse: bool


def integrated(samples: Sequence[Sample], begin: float, end: float, is_instant: bool = True) -> Integrated | None:
    """
    By the trapezium rule from begin to end; None where there are fewer than two samples, or too long a gap, and where
    all of them are 0, which no card that works draws.

    Beyond the first and the last sample the power is held at theirs. Within each gap the true power may be anywhere in
    the range seen, least to most, so the true energy of a gap is between `least * gap` and `most * gap`, and no further
    from the trapezium's `mean * gap` than `max(mean - least, most - mean) * gap`. These add up to the bound: it holds
    for every curve in the range, also for one that leaves the samples as soon as nobody looks. Means over the last
    second move at most half of it over each end of the window, by the range.
    """
    points = _to_the_ends(samples, begin, end)
    gaps = [after.at - before.at for before, after in pairwise(points)]
    if len(samples) < 2 or end <= begin or max(gaps) > LONGEST_GAP_SECONDS:
        return None
    least, most = min(point.milliwatts for point in points), max(point.milliwatts for point in points)
    if most <= 0:
        return None
    means = [(before.milliwatts + after.milliwatts) / 2 for before, after in pairwise(points)]
    millijoules = sum(mean * gap for mean, gap in zip(means, gaps, strict=True))
    bound = sum(max(mean - least, most - mean) * gap for mean, gap in zip(means, gaps, strict=True))
    if not is_instant:
        bound += (most - least) * SMEARED_SECONDS
    is_coarse = max(gaps) > COARSE_GAP_SECONDS or bound > COARSE_PART * millijoules
    # Both are rounded, so the bound must reach half a millijoule further, and is rounded up.
    return Integrated(Integral(round(millijoules), int(bound + 0.5) + 1), is_coarse)


def _to_the_ends(samples: Sequence[Sample], begin: float, end: float) -> list[Sample]:
    inside = [sample for sample in samples if begin <= sample.at <= end]
    if not inside:
        return [Sample(begin, 0), Sample(end, 0)]
    return [Sample(begin, inside[0].milliwatts), *inside, Sample(end, inside[-1].milliwatts)]
