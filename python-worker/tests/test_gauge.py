import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kilnwatt_worker.cards import Host
from kilnwatt_worker.gauge import readings
from kilnwatt_worker.rapl import packages_in
from tests.worker_process import PACKAGE_ROOT

NVML = PACKAGE_ROOT.parent / "test" / "fixtures" / "nvml"
FIRST = "GPU-1c5cf6d8-0ef3-4b7a-9a6c-000000000001"
SECOND = "GPU-2d6df7e9-1fa4-4c8b-8b7d-000000000002"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "kilnwatt_worker.gauge", "--interval-ms", "20", *arguments]


def environment(host: str, powercap: Path | None = None) -> dict[str, str]:
    zones = {} if powercap is None else {"KW_POWERCAP": str(powercap)}
    return {**os.environ, "PYTHONPATH": f"{NVML}{os.pathsep}{PACKAGE_ROOT}", "FAKE_NVML": host, **zones}


def gauge(host: str, *arguments: str, powercap: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(host, powercap),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def lines_of(ended: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in ended.stdout.splitlines()]


def add_package(root: Path, zone: str, name: str, microjoules: int) -> None:
    folder = root / zone
    folder.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", str(microjoules)), ("max_energy_range_uj", "262143328850")):
        (folder / file).write_text(f"{text}\n")


def test_each_card_is_told_by_its_uuid_with_counter_power_and_who_computes() -> None:
    lines = lines_of(gauge("two", "--readings", "2"))
    assert [(line["src"], line["uuid"], line["mj"], line["mw"]) for line in lines] == [
        ("nvml", FIRST, 1_000_000, 0),
        ("nvml", SECOND, 2_000_000, 431_200),
        ("nvml", FIRST, 1_000_250, 0),
        ("nvml", SECOND, 2_000_250, 431_200),
    ]
    # Of 42 the mean of the samples since the reading before; 41 has a context, and nothing of it ran.
    assert lines[2]["processes"] == [{"pid": 41, "share": 0.0}, {"pid": 42, "share": 0.75}]
    assert lines[3]["processes"] == []
    assert all(isinstance(line["t"], int) and line["t"] > 1_700_000_000_000 for line in lines)


def test_a_game_is_told_although_it_computes_nothing() -> None:
    """It has a graphics context only, which the list of those that compute leaves out."""
    assert lines_of(gauge("game", "--readings", "1"))[1]["processes"] == [{"pid": 42, "share": 0.75}]


def test_programs_that_did_nothing_have_a_share_of_zero() -> None:
    (line, _) = lines_of(gauge("idle", "--readings", "1"))
    assert line["processes"] == [{"pid": 41, "share": 0.0}, {"pid": 42, "share": 0.0}]


def test_where_shares_cannot_be_told_the_programs_still_are() -> None:
    (line, _) = lines_of(gauge("no-shares", "--readings", "1"))
    assert line["processes"] == [{"pid": 41, "share": None}, {"pid": 42, "share": None}]


def test_a_card_that_tells_nothing_is_null_throughout_and_never_zero() -> None:
    ended = gauge("bare", "--readings", "9")
    assert ended.returncode == 0
    assert {(line["mj"], line["mw"], line["processes"]) for line in lines_of(ended)} == {(None, None, None)}


def test_one_card_that_is_lost_does_not_silence_the_other() -> None:
    ended = gauge("second-lost", "--readings", "9")
    assert ended.returncode == 0
    *_, first, second = lines_of(ended)
    assert first["mj"] == 1_002_000
    assert (second["uuid"], second["mj"], second["mw"], second["processes"]) == (SECOND, None, None, None)


def test_a_card_that_was_lost_before_is_left_out() -> None:
    assert [line["uuid"] for line in lines_of(gauge("first-lost-before", "--readings", "1"))] == [SECOND]


def test_it_leaves_when_all_cards_are_lost_so_that_the_next_one_loads_the_new_drivers_library() -> None:
    ended = gauge("all-lost", "--readings", "99")
    assert (ended.returncode, ended.stderr.strip()) == (4, "no card has answered for a while")
    assert lines_of(ended)[-1]["mj"] is None


def test_a_card_that_does_not_answer_at_first_is_read_once_it_does() -> None:
    told = [line["uuid"] for line in lines_of(gauge("second-later", "--readings", "6"))]
    assert told == [FIRST] * 5 + [FIRST, SECOND]


def test_where_no_card_answers_yet_it_leaves_to_be_started_again() -> None:
    ended = gauge("none-answers")
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr.splitlines() == ["kilnwatt_worker.gauge: none of 2 cards answers"]


def test_a_driver_that_is_away_for_a_while_is_read_again_where_the_processors_keep_it_running(tmp_path: Path) -> None:
    """It was started again while the driver was reloaded, and told of the processors alone for ever after."""
    add_package(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    ended = gauge("driver-later", "--readings", "6", powercap=tmp_path)
    assert (ended.returncode, [line["uuid"] for line in lines_of(ended)]) == (0, [FIRST, SECOND])


@pytest.mark.parametrize(("host", "code"), [("other-driver-later", 4), ("other-driver", 0)])
def test_it_leaves_for_a_driver_that_came_as_another_one_but_only_where_that_can_help(
    host: str, code: int, tmp_path: Path
) -> None:
    add_package(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    ended = gauge(host, "--readings", "6", powercap=tmp_path)
    assert (ended.returncode, ended.stdout) == (code, "")


@pytest.mark.parametrize(
    ("host", "why"),
    [("no-driver", "NVML does not answer (Driver Not Loaded)"), ("none", "NVML lists no card")],
)
def test_with_nothing_to_read_it_says_so_once_and_leaves(host: str, why: str) -> None:
    ended = gauge(host)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.splitlines() == [f"kilnwatt_worker.gauge: {why}"]


def test_without_the_package_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text("raise ImportError\n")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PACKAGE_ROOT}"}
    ended = subprocess.run(
        command(),
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr.strip()) == (3, "kilnwatt_worker.gauge: nvidia-ml-py is not installed")


def test_processors_are_read_where_there_is_no_card_once_their_counter_moves(tmp_path: Path) -> None:
    add_package(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    taken = readings(Host(), packages_in(tmp_path), 0.001, 5)
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    assert next(taken) == []
    for microjoules in (5_000_400, 5_003_000):
        counter.write_text(f"{microjoules}\n")
        (line,) = next(taken)
        assert (line["src"], line["mj"]) == ("rapl", (microjoules - 5_000_000) // 1000)
    counter.write_text("no number\n")
    assert [line["mj"] for line in next(taken)] == [3]
    counter.write_text("5009000\n")
    assert [line["mj"] for line in next(taken)] == [9]


@pytest.mark.parametrize("how", ["end of its input", "SIGTERM"])
def test_it_ends_when_it_is_told_to(how: str) -> None:
    running = subprocess.Popen(
        command(), env=environment("two"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stdin is not None
    assert running.stdout is not None
    assert json.loads(running.stdout.readline())["uuid"] == FIRST
    if how == "SIGTERM":
        running.terminate()
    else:
        running.stdin.close()
    running.stdout.read()
    assert running.wait(timeout=60) == 0
    running.stdin.close()
    running.stdout.close()
