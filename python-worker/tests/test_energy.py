"""What a window of a card says, by a card on paper whose meters are scripted."""

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from kilnwatt_worker.card import card_of
from kilnwatt_worker.diffusers_engine.energy import CardWindow, Meter, counter_of, meter_of, nvml_counter
from kilnwatt_worker.diffusers_engine.pulse import Stop, pulse
from kilnwatt_worker.energy import CounterEnds, Energy
from kilnwatt_worker.resident import NO_ENERGY
from tests.scripted_nvml import UUID, ByTime, ScriptedNvml, counting, silent, took, watts


def falling(power: float, at: float) -> ByTime:
    """The driver is loaded anew at that moment."""
    counter = counting(power)
    return lambda now: counter(now) if now < at else round(1000 * power * (now - at))


def summary(energy: Energy) -> tuple[int | None, str, str, tuple[str, ...]]:
    return energy.millijoules, energy.meter, energy.method, energy.flags


def test_a_window_is_what_the_counter_rose_with_its_ends_as_they_were_read() -> None:
    energy = took(ScriptedNvml(), 20)
    assert summary(energy) == (6_000_000, "nvml_counter", "measured", ())
    window = energy.window
    assert window is not None
    assert (window.gpu, window.from_ms, window.to_ms) == (UUID, 1_780_000_100_000, 1_780_000_120_000)
    assert window.counter == CounterEnds(31_000_000, 37_000_000)
    assert window.integral is not None
    assert window.integral.millijoules == 6_000_000
    assert window.foreign_mj == 0


def test_without_a_counter_it_is_the_integral_of_power_with_its_bound() -> None:
    energy = took(ScriptedNvml(counter=silent), 20)
    assert summary(energy) == (6_000_000, "power_integral", "derived", ())
    assert energy.bound_mj is not None
    assert energy.bound_mj <= 2
    assert energy.window is not None
    assert energy.window.counter is None


def test_a_bound_that_is_wide_is_coarse() -> None:
    energy = took(ScriptedNvml(counter=silent, power=lambda now: 60_000 if now < 101 else 300_000), 20)
    assert energy.flags == ("coarse",)
    assert energy.millijoules is not None
    assert energy.bound_mj is not None
    assert energy.bound_mj > 0.05 * energy.millijoules


def test_a_card_that_tells_only_a_mean_over_a_second_has_a_bound_for_what_that_hides() -> None:
    ramp: ByTime = lambda now: round(1000 * (280 + 2 * (now - 100)))  # noqa: E731
    instant = took(ScriptedNvml(counter=silent, power=ramp), 20)
    mean = took(ScriptedNvml(counter=silent, power=ramp, instant=False), 20)
    assert instant.millijoules == mean.millijoules
    assert instant.bound_mj is not None
    assert mean.bound_mj == instant.bound_mj + 40_000


def test_with_neither_a_counter_nor_power_the_energy_is_unknown_and_not_zero() -> None:
    energy = took(ScriptedNvml(counter=silent, power=silent), 20)
    assert summary(energy) == (None, "none", "unknown", ())
    assert energy.window is not None
    assert (energy.window.counter, energy.window.integral, energy.window.foreign_mj) == (None, None, 0)


def test_a_card_that_says_it_draws_nothing_has_no_power_to_add_up() -> None:
    assert took(ScriptedNvml(counter=silent, power=watts(0)), 20).method == "unknown"


@pytest.mark.parametrize("at", [112.0, 119.95], ids=["in the middle", "before the last look"])
def test_over_a_counter_that_fell_the_integral_stands_in_and_says_so(at: float) -> None:
    energy = took(ScriptedNvml(counter=falling(300, at)), 20)
    assert summary(energy) == (6_000_000, "power_integral", "derived", ("counter_fell",))


def test_a_counter_that_fell_and_rose_above_where_it_was_has_fallen_too() -> None:
    energy = took(ScriptedNvml(counter=lambda now: round(1e6 * (now if now < 105 else now - 4))), 20)
    assert energy.window is not None
    assert energy.window.counter == CounterEnds(100_000_000, 116_000_000)
    assert energy.flags == ("counter_fell",)


def test_a_counter_that_fell_on_a_card_without_power_leaves_the_energy_unknown() -> None:
    energy = took(ScriptedNvml(counter=falling(300, 110), power=silent), 20)
    assert summary(energy) == (None, "none", "unknown", ("counter_fell",))
    assert energy.window is not None
    assert energy.window.counter is not None


def test_a_counter_that_says_more_than_the_card_may_draw_is_not_believed() -> None:
    assert took(ScriptedNvml(counter=counting(570)), 20).meter == "nvml_counter"
    assert summary(took(ScriptedNvml(counter=counting(600)), 20)) == (
        6_000_000,
        "power_integral",
        "derived",
        ("implausible",),
    )
    assert took(ScriptedNvml(counter=counting(600), limit=None), 20).meter == "nvml_counter"


def test_one_step_of_the_counter_too_much_in_a_short_window_is_no_reason_for_doubt() -> None:
    energy = took(ScriptedNvml(counter=lambda now: 10_000 if now < 100.05 else 90_000), 0.1, every=0.05)
    assert summary(energy) == (80_000, "nvml_counter", "measured", ("coarse",))


def test_a_counter_that_stands_still_for_over_a_second_is_dead_and_has_not_measured_zero() -> None:
    energy = took(ScriptedNvml(counter=lambda _now: 1_000_000), 20)
    assert summary(energy) == (6_000_000, "power_integral", "derived", ("implausible",))


def test_counter_and_integral_that_are_over_a_tenth_apart_disagree_in_a_long_window() -> None:
    apart = ScriptedNvml(counter=counting(250))
    assert summary(took(apart, 20)) == (5_000_000, "nvml_counter", "measured", ("disagrees",))
    assert took(apart, 9).flags == ()
    assert took(ScriptedNvml(counter=counting(275)), 20).flags == ()


def test_a_window_of_under_two_seconds_is_coarse() -> None:
    assert took(ScriptedNvml(), 1.9).flags == ("coarse",)
    assert took(ScriptedNvml(), 3).flags == ()


def test_a_counter_of_fewer_than_twenty_steps_is_coarse() -> None:
    assert took(ScriptedNvml(counter=counting(300, step=0.5)), 9).flags == ("coarse",)
    assert took(ScriptedNvml(counter=counting(300, step=0.5)), 11).flags == ()


def test_a_gap_of_over_a_second_makes_an_integral_coarse_and_one_of_over_five_none() -> None:
    unlike = ScriptedNvml(counter=silent)
    assert took(unlike, 20, starved=(3, 4.5)).flags == ("coarse",)
    assert took(unlike, 20, starved=(3, 9)).method == "unknown"


def test_nobody_looking_for_long_is_no_reason_to_doubt_a_counter() -> None:
    energy = took(ScriptedNvml(), 20, starved=(0.05, 19.95))
    assert summary(energy) == (6_000_000, "nvml_counter", "measured", ())
    assert energy.window is not None
    assert energy.window.integral is None


def test_a_clock_that_was_set_back_does_not_end_a_window_before_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", ScriptedNvml())
    card = card_of(UUID)
    assert card is not None
    wall = iter([1_780_000_000.0, 1_779_999_000.0])
    window = CardWindow(card, by_hand, clock=lambda: 5.0, wall=lambda: next(wall)).close().window
    assert window is not None
    assert window.from_ms == window.to_ms == 1_780_000_000_000


def by_hand(_look: object) -> Stop:
    return lambda: None


def test_a_meter_looks_by_itself_while_its_window_is_open_and_not_afterwards() -> None:
    looked = threading.Semaphore(0)
    stop = pulse(0.001)(looked.release)
    for _ in range(3):
        assert looked.acquire(timeout=60)
    stop()
    assert "energy" not in [thread.name for thread in threading.enumerate()]
    stop()


def test_a_look_that_fails_ends_the_looking_and_nothing_else() -> None:
    failed = threading.Event()

    def look() -> None:
        failed.set()
        raise ValueError("the driver is gone")

    stop = pulse(0.001)(look)
    assert failed.wait(timeout=60)
    stop()


def test_who_opens_another_window_has_abandoned_the_one_before() -> None:
    told: list[str] = []

    class Window:
        def close(self) -> Energy:
            return NO_ENERGY

        def abandon(self) -> None:
            told.append("abandoned")

    meter = Meter(Window)
    meter.open()
    assert told == []
    meter.open()
    assert told == ["abandoned"]


def test_a_real_thread_samples_a_window_of_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    sampled = threading.Semaphore(0)

    def power(_now: float) -> int:
        sampled.release()
        return 200_000

    monkeypatch.setitem(sys.modules, "pynvml", ScriptedNvml(counter=silent, power=power))
    card = card_of(UUID)
    assert card is not None
    window = CardWindow(card, pulse(0.001))
    for _ in range(5):
        assert sampled.acquire(timeout=60)
    energy = window.close()
    assert (energy.meter, energy.method) == ("power_integral", "derived")
    assert "energy" not in [thread.name for thread in threading.enumerate()]


# The few calls of nvidia-ml-py that are used: one card, whose counter rises by 250 mJ a reading.
PYNVML = """
class NVMLError(Exception):
    pass

readings = iter(range(1_000, 10_000, 250))
broken = False

def nvmlInit():
    pass

def nvmlDeviceGetHandleByUUID(uuid):
    if uuid != "GPU-1234":
        raise NVMLError("Not Found")
    return uuid

def nvmlDeviceGetTotalEnergyConsumption(handle):
    if broken:
        raise NVMLError("GPU is lost")
    return next(readings)
"""


@pytest.fixture
def old_nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A `pynvml` that has the counter alone, where the import finds it first."""
    (tmp_path / "pynvml.py").write_text(PYNVML)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    yield importlib.import_module("pynvml")
    sys.modules.pop("pynvml", None)


@pytest.mark.usefixtures("old_nvml")
@pytest.mark.parametrize("uuid", ["1234", "GPU-1234"], ids=["as torch has it", "as nvidia-smi has it"])
def test_a_card_is_found_by_its_uuid_with_or_without_the_prefix(uuid: str) -> None:
    assert nvml_counter(uuid)() == 1_250
    card = card_of(uuid)
    assert card is not None
    assert card.uuid == "GPU-1234"


@pytest.mark.usefixtures("old_nvml")
def test_a_call_that_the_library_does_not_have_is_a_meter_that_does_not_answer() -> None:
    card = card_of("GPU-1234")
    assert card is not None
    energy = CardWindow(card, by_hand).close()
    assert (energy.millijoules, energy.meter, energy.method) == (250, "nvml_counter", "derived")
    assert energy.flags == ("coarse", "sharing_unknown")


@pytest.mark.usefixtures("old_nvml")
def test_a_card_that_nvml_does_not_know_has_no_counter() -> None:
    assert nvml_counter("GPU-9999")() is None
    assert card_of("GPU-9999") is None


def test_a_card_without_a_counter_costs_nothing_afterwards(old_nvml: ModuleType) -> None:
    vars(old_nvml)["broken"] = True
    counter = nvml_counter("GPU-1234")
    vars(old_nvml)["broken"] = False
    assert counter() is None


def test_a_reading_that_fails_later_makes_the_window_unknown(old_nvml: ModuleType) -> None:
    card = card_of("GPU-1234")
    assert card is not None
    window = CardWindow(card, by_hand)
    vars(old_nvml)["broken"] = True
    assert window.close().method == "unknown"


def test_without_the_package_there_is_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml_counter("GPU-1234")() is None
    assert card_of("GPU-1234") is None


def test_a_processor_that_does_not_tell_has_no_counter(tmp_path: Path) -> None:
    assert counter_of(torch.device("cpu"))() is None
    assert meter_of(torch.device("cpu"), tmp_path).open().close() == NO_ENERGY
