"""What others burn on a card in a window of ours, by a card on paper."""

from collections.abc import Callable, Sequence

import pytest

from kilnwatt_worker.energy import Energy
from tests.scripted_nvml import OURS, THEIRS, ScriptedNvml, silent, took

Samples = Sequence[tuple[float, int, int]]


def used(ours: int, theirs: int, begin: float = 100.0, end: float = 120.0) -> Samples:
    """As the driver samples it, every half second; it leaves out who did not use the card."""
    moments = [begin + number / 2 for number in range(1, round((end - begin) * 2) + 1)]
    return [(at, pid, share) for at in moments for pid, share in ((OURS, ours), (THEIRS, theirs)) if share > 0]


def both(_now: float) -> Sequence[int]:
    return (THEIRS, OURS)


def foreign_of(energy: Energy) -> int | None:
    assert energy.window is not None
    return energy.window.foreign_mj


def test_the_part_of_another_program_is_taken_out_by_its_share_of_the_cards_time() -> None:
    energy = took(ScriptedNvml(pids=both, used=used(60, 20)), 20)
    assert (energy.millijoules, foreign_of(energy)) == (4_500_000, 1_500_000)
    assert (energy.meter, energy.method, energy.flags) == ("nvml_counter", "derived", ("shared_gpu",))
    assert energy.bound_mj is None


def test_shares_are_weighed_by_the_time_that_they_were_seen_in() -> None:
    quarter = [*used(60, 0, end=110), *used(40, 40, begin=110)]
    energy = took(ScriptedNvml(pids=both, used=quarter), 20)
    assert foreign_of(energy) == pytest.approx(1_500_000, rel=0.05)
    assert (energy.millijoules or 0) + (foreign_of(energy) or 0) == 6_000_000


def test_a_program_that_came_and_went_within_the_window_counts_for_its_time() -> None:
    guest = ScriptedNvml(
        pids=lambda now: both(now) if 105 <= now < 110 else (OURS,), used=[*used(50, 0), *used(0, 50, 105, 110)]
    )
    assert foreign_of(took(guest, 20)) == pytest.approx(750_000, rel=0.1)


def test_a_game_beside_a_batch_is_taken_out_although_it_is_in_no_list_of_those_that_compute() -> None:
    """Its energy was the picture's, measured and without a flag."""
    energy = took(ScriptedNvml(used=used(60, 20)), 20)
    assert (energy.millijoules, foreign_of(energy)) == (4_500_000, 1_500_000)
    assert (energy.method, energy.flags) == ("derived", ("shared_gpu",))


def test_another_program_that_does_nothing_costs_nothing_and_leaves_the_measure_whole() -> None:
    energy = took(ScriptedNvml(pids=both, used=used(90, 0)), 20)
    assert (energy.millijoules, foreign_of(energy)) == (6_000_000, 0)
    assert (energy.method, energy.flags) == ("measured", ())


@pytest.mark.parametrize("code", [6, 0], ids=["by NVML", "by its Python package"])
def test_programs_on_a_card_where_nobody_computes_take_nothing_from_each_other(code: int) -> None:
    """A load reads files for seconds before the card has anything to do. An empty list comes as an error."""
    assert took(ScriptedNvml(pids=both, used=(), none_used=code), 20).method == "measured"


def test_what_the_card_was_used_for_before_the_window_is_not_of_the_window() -> None:
    before = [(90.0, THEIRS, 100), (99.5, THEIRS, 100)]
    assert foreign_of(took(ScriptedNvml(pids=both, used=[*before, *used(80, 0)]), 20)) == 0


def test_others_whose_share_the_card_does_not_tell_leave_the_energy_unknown() -> None:
    energy = took(ScriptedNvml(pids=both, used=None), 20)
    assert (energy.millijoules, energy.meter, energy.method) == (None, "none", "unknown")
    assert (foreign_of(energy), energy.flags) == (None, ("shared_gpu",))
    assert energy.window is not None
    assert energy.window.counter is not None


def test_in_a_window_too_short_for_a_sample_the_share_of_others_cannot_be_told() -> None:
    energy = took(ScriptedNvml(pids=both, used=used(50, 50, begin=102)), 0.5)
    assert (energy.method, foreign_of(energy)) == ("unknown", None)


def test_shares_that_the_card_does_not_tell_do_not_matter_where_nobody_else_is() -> None:
    assert took(ScriptedNvml(used=None), 20).method == "measured"


@pytest.mark.parametrize(
    "pids",
    [lambda _now: None, lambda _now: (), lambda _now: (1, THEIRS)],
    ids=["not supported", "empty, as under WSL2", "numbers of the host, as in a container"],
)
def test_a_list_without_ourselves_says_nothing_and_the_figure_says_so(
    pids: Callable[[float], Sequence[int] | None],
) -> None:
    energy = took(ScriptedNvml(pids=pids, used=used(50, 50)), 20)
    assert (energy.millijoules, foreign_of(energy)) == (6_000_000, 0)
    assert (energy.meter, energy.method, energy.flags) == ("nvml_counter", "derived", ("sharing_unknown",))


def test_a_list_that_fails_once_makes_the_window_one_of_which_it_cannot_be_told() -> None:
    once = ScriptedNvml(pids=lambda now: None if 104.5 < now < 105.6 else (OURS,))
    assert took(once, 20).flags == ("sharing_unknown",)


def test_the_part_of_others_is_taken_from_an_integral_as_well_which_then_has_no_bound() -> None:
    energy = took(ScriptedNvml(counter=silent, pids=both, used=used(50, 50)), 20)
    assert (energy.millijoules, foreign_of(energy)) == (3_000_000, 3_000_000)
    assert (energy.meter, energy.flags, energy.bound_mj) == ("power_integral", ("shared_gpu",), None)


def test_where_others_worked_and_nothing_was_metered_theirs_cannot_be_told_either() -> None:
    energy = took(ScriptedNvml(counter=silent, power=silent, pids=both, used=used(50, 50)), 20)
    assert (energy.method, foreign_of(energy)) == ("unknown", None)
