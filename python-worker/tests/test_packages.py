from pathlib import Path

import pytest

from kilnwatt_worker.rapl import PackageSum, package_microjoules, risen, wrap_microjoules

LIMIT = 1_000_000


def zone(root: Path, path: str, name: str, microjoules: int | None) -> Path:
    folder = root / path
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{LIMIT}\n")
    if microjoules is not None:
        (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder


def test_only_whole_packages_count_and_nothing_that_is_inside_or_around_them(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 11)
    zone(tmp_path, "intel-rapl:1", "package-1-die-0", 22)
    zone(tmp_path, "intel-rapl:2", "psys", 1_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 11)
    assert package_microjoules(tmp_path) == {"intel-rapl:0": 11, "intel-rapl:1": 22}


def test_a_counter_that_we_may_not_read_is_no_zero_and_half_of_the_processors_are_none(tmp_path: Path) -> None:
    # What a user without rights sees is a file that fails to open; a folder does so for root too.
    folder = zone(tmp_path, "intel-rapl:0", "package-0", None)
    (folder / "energy_uj").mkdir()
    zone(tmp_path, "intel-rapl:1", "package-1", 22)
    assert package_microjoules(tmp_path) == {}
    assert package_microjoules(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("before", "after", "limit", "expected"),
    [(10, 30, LIMIT, 20), (10, 10, LIMIT, 0), (999_990, 5, LIMIT, 15), (999_990, 5, None, 5)],
    ids=["rises", "rests", "began again", "began again at an unknown place"],
)
def test_a_counter_that_begins_again_is_carried_on(before: int, after: int, limit: int | None, expected: int) -> None:
    assert risen(before, after, limit) == expected


def test_the_sum_of_packages_never_falls(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    limits = wrap_microjoules(tmp_path)
    total = PackageSum(0, {"intel-rapl:0": 999_000, "intel-rapl:1": 100})
    total = total.with_reading({"intel-rapl:0": 1_000, "intel-rapl:1": 150}, limits)
    assert total.microjoules == 2_050
    # One that is not read for a while adds nothing, and all that it rose by once it is back.
    total = total.with_reading({"intel-rapl:0": 1_500}, limits)
    assert total.microjoules == 2_550
    assert total.with_reading({"intel-rapl:0": 1_500, "intel-rapl:1": 400}, limits).microjoules == 2_800
