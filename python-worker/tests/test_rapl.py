"""The energy of processors, from a folder as the kernel makes it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine.energy import meter_of
from kilnwatt_worker.diffusers_engine.package_window import PackageWindow
from kilnwatt_worker.diffusers_engine.pulse import Stop
from kilnwatt_worker.energy import Energy
from kilnwatt_worker.rapl import Package, PackageSum, counters_of, packages_in, powercap
from kilnwatt_worker.resident import NO_ENERGY

RANGE = 1_000_000


def zone(root: Path, name: str, label: str, microjoules: int = 0, most: int = RANGE) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{label}\n")
    (folder / "max_energy_range_uj").write_text(f"{most}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


def test_whole_packages_are_added_up_and_what_holds_them_or_is_in_them_is_not(tmp_path: Path) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", 100_000)
    zone(tmp_path, "intel-rapl:0:0", "core")
    zone(tmp_path, "intel-rapl:0:1", "uncore")
    second = zone(tmp_path, "intel-rapl:1", "package-1", 200_000)
    psys = zone(tmp_path, "intel-rapl:2", "psys")
    zone(tmp_path, "intel-rapl-mmio:0", "package-0")
    window = meter_of(torch.device("cpu"), tmp_path).open()
    first.write_text("130000\n")
    second.write_text("212000\n")
    psys.write_text("900000\n")
    assert window.close() == Energy(42, "rapl", "derived", ("whole_package",), None, None)


def test_a_counter_that_starts_anew_goes_on_also_when_it_does_so_twice(tmp_path: Path) -> None:
    looks: list[Callable[[], None]] = []
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 900_000)

    def by_hand(look: Callable[[], None]) -> Stop:
        looks.append(look)
        return lambda: None

    window = PackageWindow(packages_in(tmp_path), by_hand)
    for microjoules in (400_000, 950_000, 100_000):
        counter.write_text(str(microjoules))
        looks[0]()
    counter.write_text("200000")
    assert window.close().millijoules == 500 + 550 + 150 + 100


@pytest.mark.parametrize("text", ["", "no number"])
def test_a_package_that_cannot_be_read_makes_the_energy_unknown(tmp_path: Path, text: str) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0")
    other = zone(tmp_path, "intel-rapl:1", "package-1")
    window = PackageWindow(packages_in(tmp_path))
    other.write_text(text)
    assert window.close() == NO_ENERGY
    assert packages_in(tmp_path) == ()


def test_a_counter_that_is_not_there_any_more_makes_the_energy_unknown(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0")
    window = PackageWindow(packages_in(tmp_path))
    counter.unlink()
    assert window.close() == NO_ENERGY


def test_a_counter_that_stands_still_has_not_measured_zero(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 5)
    assert PackageWindow(packages_in(tmp_path)).close() == NO_ENERGY


def test_a_host_without_such_counters_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert packages_in(tmp_path) == packages_in(tmp_path / "none") == ()
    monkeypatch.setenv("KW_POWERCAP", str(tmp_path))
    assert powercap() == tmp_path
    zone(tmp_path, "intel-rapl:0", "package-0", most=0)
    assert packages_in(powercap()) == ()


def test_packages_of_several_dies_count_each(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0-die-0", 11)
    zone(tmp_path, "intel-rapl:1", "package-0-die-1", 22)
    counters = counters_of(packages_in(tmp_path))
    assert counters is not None
    assert list(counters.values()) == [11, 22]


def test_a_counter_that_we_may_not_read_is_no_zero_and_half_of_the_processors_are_none(tmp_path: Path) -> None:
    # What a user without rights sees is a file that fails to open; a folder does so for root too.
    counter = zone(tmp_path, "intel-rapl:0", "package-0")
    counter.unlink()
    counter.mkdir()
    zone(tmp_path, "intel-rapl:1", "package-1", 22)
    assert packages_in(tmp_path) == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(10, 30, 20), (10, 10, 0), (999_990, 5, 15)],
    ids=["rises", "rests", "began again"],
)
def test_a_counter_that_begins_again_is_carried_on(before: int, after: int, expected: int) -> None:
    package = Package(Path("energy_uj"), RANGE)
    assert PackageSum(100, {package: before}).with_reading({package: after}) == PackageSum(
        100 + expected, {package: after}
    )
