from collections.abc import Iterator

import pytest
import torch

from kilnwatt_worker.diffusers_engine.energy import EnergyWindow, counter_of


def reading(*values: int | None) -> EnergyWindow:
    left: Iterator[int | None] = iter(values)
    return EnergyWindow(lambda: next(left))


def test_a_window_is_the_difference_of_two_readings() -> None:
    energy = reading(1_000, 31_000).close()
    assert (energy.millijoules, energy.meter, energy.method) == (30_000, "nvml_counter", "measured")


@pytest.mark.parametrize("values", [(None, 5), (5, None), (9, 5)], ids=["no start", "no end", "the counter fell"])
def test_a_window_without_two_good_readings_is_unknown_and_not_zero(values: tuple[int | None, int | None]) -> None:
    energy = reading(*values).close()
    assert (energy.millijoules, energy.meter, energy.method) == (None, "none", "unknown")


def test_a_cpu_has_no_counter() -> None:
    assert counter_of(torch.device("cpu"))() is None
