"""The whole proof with tiny models on the CPU, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from proof import plan
from proof.__main__ import ROOT, main
from proof.limits import Interruption
from proof.options import Options
from proof.plan import SMALL
from proof.proving import prove
from proof.record import Record
from tests.nvidia_smi import write_nvidia_smi

ENDS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def few_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "BATCHES", (1, 2))


def options(tmp_path: Path, **changed: object) -> Options:
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps([{"name": "plain"}, {"name": "exact", "settings": {"dtype": "float32"}}]))
    given = Options(
        root=ROOT,
        device="cpu",
        small=True,
        families=("sd",),
        presets=("plain", "exact"),
        catalogue=catalogue,
        out=tmp_path / "record.json",
        recording=None,
        budget_seconds=300.0,
        case_seconds=100.0,
        idle_seconds=0.3,
        fresh=False,
    )
    return replace(given, **changed)  # type: ignore[arg-type]


def proved(asked: Options) -> int:
    return prove(asked, Interruption())


def test_the_whole_proof_leaves_a_record_and_a_recording_and_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = write_nvidia_smi(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert proved(options(tmp_path, presets=("plain",))) == 0
    first = json.loads((tmp_path / "record.json").read_text())
    assert [(case["visit"], case["outcome"]) for case in first["cases"]] == [("sd plain x1,1,2", "in effect")]
    assert first["machine"]["versions"]["diffusers"] == "0.40.0"
    sources = {json.loads(line).get("src") for line in (tmp_path / "record.ndjson").read_text().splitlines()}
    assert {"smi", "mark"} <= sources
    assert proved(options(tmp_path)) == 0
    second = json.loads((tmp_path / "record.json").read_text())
    assert second["cases"][0] == first["cases"][0]
    assert [case["preset"] for case in second["cases"]] == ["plain", "exact"]
    # It had nothing to compare with where another start had drawn the plain pictures.
    assert [run["equals_plain"] for run in second["cases"][1]["runs"]] == [True, True]
    assert "sd exact x1: in effect; x1 2 steps" in capsys.readouterr().out


def test_what_the_time_does_not_allow_is_left_out_by_name(tmp_path: Path) -> None:
    assert proved(options(tmp_path, budget_seconds=0.0)) == 3
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["ended"], [one["visit"] for one in record["left_out"]]) == (
        "budget",
        ["sd plain x1,1,2", "sd exact x1"],
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_case_that_takes_too_long_is_cut_off_and_tried_again_by_another_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(SMALL, "sd", replace(SMALL["sd"], short_steps=9_000))
        assert proved(options(tmp_path, presets=("exact",), case_seconds=0.5)) == 5
    record = json.loads((tmp_path / "record.json").read_text())
    assert [(case["outcome"], case["reason"]) for case in record["cases"]] == [("stopped", "it was cut off after 0 s")]
    assert proved(options(tmp_path, presets=("exact",), budget_seconds=0.0)) == 3
    again = json.loads((tmp_path / "record.json").read_text())
    assert (again["cases"], [one["visit"] for one in again["left_out"]]) == ([], ["sd exact x1"])


@pytest.mark.parametrize(
    ("changed", "code", "sentence"),
    [
        ({"device": "cuda:99"}, 6, "does not see cuda:99"),
        ({"presets": ("none-such",)}, 2, "is named none-such"),
        ({"catalogue": Path("none.json")}, 2, "the catalogue none.json cannot be read"),
    ],
    ids=["no card", "no such preset", "no catalogue"],
)
def test_what_cannot_be_begun_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object], code: int, sentence: str
) -> None:
    assert proved(options(tmp_path, **changed)) == code
    assert sentence in capsys.readouterr().err


def test_a_family_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu-proof", "--only", "pony"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2


def test_ctrl_c_leaves_the_record_of_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So many that it cannot be done before the signal comes, however busy the machine.
    more = [{"name": f"exact-{number}", "settings": {"dtype": "float32"}} for number in range(60)]
    given = options(tmp_path, presets=(), idle_seconds=0.0)
    given.catalogue.write_text(json.dumps([{"name": "plain"}, *more]))
    interruption, before = Interruption(), {number: signal.getsignal(number) for number in ENDS}
    save = Record.write

    def interrupted(record: Record) -> None:
        save(record)
        if record.ended == "running" and len(record.cases) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Record, "write", interrupted)
    interruption.listen()
    try:
        assert prove(given, interruption) == 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["ended"], record["cases"][0]["outcome"]) == ("interrupted", "in effect")


def test_the_script_starts_with_a_python_that_has_nothing_yet() -> None:
    environment = {**os.environ, "KILNWATT_PYTHON": sys.executable}
    command = [str(ROOT / "scripts" / "gpu-proof"), "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    assert "--fetch-wheels" in ended.stdout
