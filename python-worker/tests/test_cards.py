import sys
from pathlib import Path

import pytest

from kilnwatt_worker.cards import Watch, open_cards
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
    readings = [Watch(card, 1, release).read() for card in open_cards()]
    assert {reading.processes is not None for reading in readings} == {believed}
    monkeypatch.delitem(sys.modules, "pynvml")
