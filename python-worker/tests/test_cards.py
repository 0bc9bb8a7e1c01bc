import sys
from pathlib import Path

import pytest

from kilnwatt_worker.card import Card
from kilnwatt_worker.cards import Host, Watch
from tests.scripted_nvml import UUID, ScriptedNvml
from tests.worker_process import PACKAGE_ROOT

NVML = PACKAGE_ROOT.parent / "test" / "fixtures" / "nvml"


@pytest.mark.parametrize(
    ("kernel", "believed"), [("5.15.167.4-microsoft-standard-WSL2", False), ("6.1.0-13-amd64", True)]
)
def test_under_windows_the_list_of_programs_is_not_believed(
    kernel: str, believed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = tmp_path / "osrelease"
    release.write_text(f"{kernel}\n")
    monkeypatch.syspath_prepend(str(NVML))
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    host = Host()
    host.look()
    readings = [Watch(card, 1, release).read() for card in host.cards]
    assert {reading.processes is not None for reading in readings} == {believed}
    monkeypatch.delitem(sys.modules, "pynvml")


def test_a_reading_has_the_moment_of_its_counter_however_long_the_other_questions_take() -> None:
    """
    It had the moment after them. A window of the worker that had ended in between, with a newer counter, then seemed to
    lie before a counter that was lower: as if the driver had been loaded anew.
    """
    nvml = ScriptedNvml()
    asked: list[float] = []

    def slow(now: float) -> tuple[int, ...]:
        asked.append(now)
        nvml.now = now + 0.05
        return (41,)

    nvml.pids = slow
    nvml.now = 100.0
    reading = Watch(Card(nvml, UUID, UUID), 1, wall=lambda: nvml.now).read()
    assert (reading.at, reading.millijoules, asked) == (100_000, nvml.counter(100.0), [100.0])
