import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from kilnwatt_worker.diffusers_engine.energy import EnergyWindow, counter_of, nvml_counter


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
def nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A `pynvml` of our own, where the import finds it first."""
    (tmp_path / "pynvml.py").write_text(PYNVML)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    yield importlib.import_module("pynvml")
    sys.modules.pop("pynvml", None)


@pytest.mark.usefixtures("nvml")
@pytest.mark.parametrize("uuid", ["1234", "GPU-1234"], ids=["as torch has it", "as nvidia-smi has it"])
def test_the_counter_of_a_card_is_found_by_its_uuid_with_or_without_the_prefix(uuid: str) -> None:
    energy = EnergyWindow(nvml_counter(uuid)).close()
    assert (energy.millijoules, energy.meter, energy.method) == (250, "nvml_counter", "measured")


@pytest.mark.usefixtures("nvml")
def test_a_card_that_nvml_does_not_know_has_no_counter() -> None:
    assert nvml_counter("GPU-9999")() is None


def test_a_card_without_a_counter_costs_nothing_afterwards(nvml: ModuleType) -> None:
    vars(nvml)["broken"] = True
    counter = nvml_counter("GPU-1234")
    vars(nvml)["broken"] = False
    assert counter() is None


def test_a_reading_that_fails_later_makes_the_window_unknown(nvml: ModuleType) -> None:
    window = EnergyWindow(nvml_counter("GPU-1234"))
    vars(nvml)["broken"] = True
    assert window.close().millijoules is None


def test_without_the_package_there_is_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml_counter("GPU-1234")() is None


def test_a_cpu_has_no_counter() -> None:
    assert counter_of(torch.device("cpu"))() is None
