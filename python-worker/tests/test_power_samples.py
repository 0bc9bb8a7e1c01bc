"""The integral of sampled power against the truth."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import pytest

from kilnwatt_worker.diffusers_engine.power_samples import Sample, integrated


@dataclass(frozen=True, slots=True)
class Curve:
    """Constant between its moments: (seconds, milliwatts), each until the next."""

    pieces: Sequence[tuple[float, int]]
    end: float

    def at(self, moment: float) -> int:
        return next(power for begin, power in reversed(self.pieces) if begin <= moment)

    def millijoules(self) -> float:
        edges = [*self.pieces, (self.end, 0)]
        return sum(power * (after - begin) for (begin, power), (after, _) in pairwise(edges))


def curve_of(chance: random.Random) -> Curve:
    """Pieces from a millisecond to three seconds long, so also ones that no sample sees."""
    end = chance.uniform(0.3, 60)
    shortest = chance.choice([0.001, 0.02, 0.5])
    least, most = sorted(chance.randrange(5_000, 450_000) for _ in range(2))
    steps = [chance.uniform(shortest, shortest * 6) for _ in range(min(3_000, int(end / shortest) + 1))]
    begins = [0.0, *(begin for begin in accumulate(steps) if begin < end)]
    powers = [chance.choice([least, most, chance.randint(least, most)]) for _ in begins]
    return Curve(list(zip(begins, powers, strict=True)), end)


def samples_of(curve: Curve, chance: random.Random) -> list[Sample]:
    """Ten times a second with jitter, some of them lost."""
    moments = [number / 10 + chance.uniform(-0.04, 0.04) for number in range(1, int(curve.end * 10))]
    seen = [at for at in moments if chance.random() > 0.1 and 0 < at < curve.end]
    return [Sample(at, curve.at(at)) for at in [0.0, *seen, curve.end - 1e-9]]


def test_the_bound_contains_the_truth_of_every_curve_that_stays_in_the_range_seen() -> None:
    """Whatever a card does between two looks: the worst is a card that is busy whenever nobody looks."""
    checked = 0
    for seed in range(400):
        chance = random.Random(seed)
        curve = curve_of(chance)
        samples = samples_of(curve, chance)
        seen = [sample.milliwatts for sample in samples]
        if min(seen) > min(power for _, power in curve.pieces) or max(seen) < max(power for _, power in curve.pieces):
            continue
        told = integrated(samples, 0.0, curve.end)
        assert told is not None
        assert abs(told.told.millijoules - curve.millijoules()) <= told.told.bound_mj, seed
        checked += 1
    assert checked > 150


def test_the_bound_holds_for_a_card_that_is_at_its_most_whenever_nobody_looks() -> None:
    samples = [Sample(at / 10, 400_000 if at == 5 else 50_000) for at in range(11)]
    told = integrated(samples, 0.0, 1.0)
    assert told is not None
    assert 400_000 - told.told.millijoules <= told.told.bound_mj
    assert told.is_coarse


@pytest.mark.parametrize("seed", range(5))
def test_steps_that_last_a_second_and_more_are_off_by_less_than_two_hundredths_in_half_a_minute(seed: int) -> None:
    chance = random.Random(seed)
    begins = [0.0, *(begin for begin in accumulate(chance.uniform(1, 4) for _ in range(20)) if begin < 30)]
    curve = Curve([(begin, chance.randrange(60_000, 400_000)) for begin in begins], 30.0)
    told = integrated([Sample(at / 10, curve.at(at / 10)) for at in range(300)], 0.0, 30.0)
    assert told is not None
    assert told.told.millijoules == pytest.approx(curve.millijoules(), rel=0.02)


def test_what_was_not_sampled_at_the_ends_is_held_and_bounded() -> None:
    told = integrated([Sample(0.5, 100_000), Sample(1.0, 200_000)], 0.0, 1.5)
    assert told is not None
    assert told.told.millijoules == 50_000 + 75_000 + 100_000
    assert told.told.bound_mj >= 100_000


@pytest.mark.parametrize(
    "samples",
    [[], [Sample(0.5, 100)], [Sample(0.0, 100), Sample(6.0, 100)], [Sample(-2.0, 100), Sample(9.0, 100)]],
    ids=["none", "one", "a long gap", "none inside"],
)
def test_with_too_few_samples_there_is_no_integral(samples: list[Sample]) -> None:
    assert integrated(samples, 0.0, 6.0) is None


def test_a_window_without_length_has_no_integral() -> None:
    assert integrated([Sample(1.0, 100), Sample(1.0, 100)], 1.0, 1.0) is None
