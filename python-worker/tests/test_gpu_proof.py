"""The pieces of `scripts/gpu-proof`, with tiny models on the CPU."""

import json
import math
import signal
import threading
import time
from pathlib import Path

import pytest

from kilnwatt_worker.parts import Preset
from proof import limits
from proof.__main__ import ROOT, _without_wheels
from proof.catalogue import Entry, read_catalogue
from proof.limits import TimeUp, at_most
from proof.plan import REAL, Run, plan, steps_to_compare
from proof.power import PowerStream, Sample, fields_known, millijoules
from proof.record import Record, cases_of
from proof.recording import Recording
from proof.running import Case, psnr
from proof.wheels import OPTIONAL, WANTED, chosen, normal, pins
from tests.nvidia_smi import write_nvidia_smi
from tests.worker_process import PACKAGE_ROOT

CATALOGUE = ROOT / "src" / "preset" / "catalogue.json"
PLAIN, COMPILED, TILED = Preset("plain"), Preset("fast", compile="full"), Preset("tiled", vae_tiling=True)


def test_the_orchestrators_catalogue_is_read_as_the_worker_takes_it() -> None:
    entries = read_catalogue(CATALOGUE)
    names = [entry.preset.name for entry in entries]
    assert "low-vram" in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "text", ["{", "{}", '[{"settings": {}}]', '[{"name": "x", "settings": {"dtype": "int4"}}]'], ids=range(4)
)
def test_what_is_no_catalogue_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalogue.json").write_text(text)
    with pytest.raises(ValueError, match=r"catalogue\.json"):
        read_catalogue(tmp_path / "catalogue.json")


def test_each_family_is_first_run_plain_then_compiled_then_with_the_rest_and_techniques_alone_in_turn() -> None:
    entries = [
        Entry(TILED, (), "any"),
        Entry(PLAIN, (), "any"),
        Entry(COMPILED, ("sdxl",), "cuda"),
        Entry(Preset("slow", dtype="float32"), (), "any"),
        Entry(Preset("other", dtype="float16"), (), "cpu"),
    ]
    planned = plan([REAL["sdxl"], REAL["flux"]], entries, "cuda")
    kinds = [visit.kind for visit in planned]
    assert kinds.index("preset") < kinds.index("technique") < kinds.index("compiled batch")
    visits = [visit for visit in planned if visit.kind != "technique"]
    assert [(visit.family.name, visit.preset.name, visit.kind) for visit in visits] == [
        ("sdxl", "plain", "plain"),
        ("flux", "plain", "plain"),
        ("sdxl", "fast", "compiled"),
        ("flux", "proof-full", "compiled"),
        ("sdxl", "tiled", "preset"),
        ("flux", "tiled", "preset"),
        ("sdxl", "slow", "preset"),
        ("flux", "slow", "preset"),
        *(
            (family, preset, "compiled batch")
            for _ in range(3)
            for family, preset in (("sdxl", "fast"), ("flux", "proof-full"))
        ),
    ]
    assert visits[0].runs == (Run(1, 30), Run(1, 8), Run(2, 8), Run(4, 8), Run(8, 8))
    assert [visit.runs for visit in visits[8::2]] == [(Run(4, 8),), (Run(8, 8),), (Run(2, 8),)]
    assert len({visit.key for visit in planned}) == len(planned)
    assert [visit.preset.name for visit in plan([REAL["sdxl"]], entries, "cuda", wanted=["slow"])] == ["slow"]


@pytest.mark.parametrize(
    ("family", "memory_gb", "expected"),
    [("sdxl", 151.0, "sdxl-80gb"), ("flux", 151.0, "flux-80gb"), ("sdxl", 25.8, "sdxl-24gb"), ("sd", 17.2, "sd-16gb")],
)
def test_what_is_compiled_is_the_users_preset_for_the_card(family: str, memory_gb: float, expected: str) -> None:
    """It was one of the proof's own, since those of the catalogue also have buckets, slicing and a cache of prompts."""
    visits = plan([REAL[family]], read_catalogue(CATALOGUE), "cuda", memory_gb)
    compiled = [(visit.preset.name, visit.runs[0].batch) for visit in visits if visit.kind.startswith("compiled")]
    assert compiled == [(expected, batch) for batch in (1, 4, 8, 2)]


def test_every_technique_that_no_test_on_a_processor_shows_is_visited_on_a_card() -> None:
    visits = plan(list(REAL.values()), read_catalogue(CATALOGUE), "cuda", 151.0)
    techniques = json.loads((ROOT / "src" / "preset" / "techniques.json").read_text())
    unproven = [one for one in techniques if one["proof"] != "cpu"]
    assert unproven
    for one in unproven:
        assert any(getattr(visit.preset, one["field"]) == one["value"] for visit in visits), one["id"]


def test_what_an_earlier_start_has_drawn_plain_is_drawn_again_for_those_that_are_left() -> None:
    entries = [Entry(PLAIN, (), "any"), Entry(TILED, (), "any")]
    visits = plan([REAL["sdxl"]], entries, "cuda")
    assert steps_to_compare(visits, REAL["sdxl"]) == []
    assert steps_to_compare(visits[1:], REAL["sdxl"]) == [8, 30]
    assert steps_to_compare(visits[2:], REAL["sdxl"]) == [8]
    assert steps_to_compare(visits[1:], REAL["sd"]) == []


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([Sample(t / 10, 100.0) for t in range(31)], 100_000),
        ([Sample(t / 10, 100.0 * t / 10) for t in range(31)], 150_000),
        ([Sample(0.0, 100.0), Sample(0.9, 100.0), Sample(1.8, 300.0), Sample(2.7, 300.0)], 228_889),
        ([Sample(0.0, 100.0), Sample(1.5, 100.0), Sample(3.0, 100.0)], None),
        ([Sample(t / 10, 100.0) for t in range(7)], None),
        ([], None),
    ],
    ids=["steady", "rising", "between samples", "a gap", "no end", "nothing"],
)
def test_energy_is_the_integral_of_power_from_second_1_to_2(samples: list[Sample], expected: int | None) -> None:
    if samples and samples[-1].at < 1:
        assert millijoules(samples, 1.0, 2.0) is None
    assert millijoules(samples, 1.0, 2.0) == expected


def test_only_fields_that_this_nvidia_smi_lists_are_asked_for() -> None:
    old = '"timestamp"\nThe time.\n"gpu_uuid"\n"power.draw"\n"clocks.current.sm" or "clocks.sm"\n'
    assert fields_known(old) == ["timestamp", "gpu_uuid", "power.draw", "clocks.sm"]
    assert fields_known("") == []


def test_the_stream_is_read_for_our_card_and_what_is_not_available_is_not_zero(tmp_path: Path) -> None:
    rows: list[str] = []
    enough = threading.Event()

    def on_row(row: str) -> None:
        rows.append(row)
        if len(rows) >= 30:
            enough.set()

    began = time.monotonic()
    stream = PowerStream("GPU-ours", on_row, str(write_nvidia_smi(tmp_path)))
    try:
        assert enough.wait(60)
    finally:
        stream.close()
    first, last = stream.samples[0].at, stream.samples[-1].at
    energy = millijoules(stream.samples, first, last)
    assert stream.fields == ["index", "uuid", "power.draw.instant", "memory.used"]
    assert began <= first < last
    assert {sample.watts for sample in stream.samples} == {50.0}
    assert energy in (None, round(50_000 * (last - first)))  # None where this machine was too busy to let it speak
    assert "0, GPU-other, 999.00, 1" in rows


def test_without_nvidia_smi_there_is_no_power_and_nothing_fails(tmp_path: Path) -> None:
    stream = PowerStream(None, lambda _row: None, str(tmp_path / "none"))
    assert stream.fields == []
    assert stream.millijoules(0.0, 1.0) is None
    stream.close()


def test_a_recording_is_a_head_and_then_what_came_from_where(tmp_path: Path) -> None:
    readings = iter(range(1_000, 2_000))
    with Recording(tmp_path / "card.ndjson", {"fields": ["index"]}, "GPU-1", lambda: next(readings)) as recording:
        recording.mark("idle")
        recording.row("0, 50.00")
    recording.row("too late")
    head, *lines = [json.loads(line) for line in (tmp_path / "card.ndjson").read_text().splitlines()]
    assert head == {"fields": ["index"]}
    assert {"idle"} == {line["what"] for line in lines if line["src"] == "mark"}
    assert [line["row"] for line in lines if line["src"] == "smi"] == ["0, 50.00"]
    assert [(line["uuid"], line["mj"]) for line in lines if line["src"] == "nvml"][:1] == [("GPU-1", 1_000)]


def record_of(file: Path, card: str, cases: list[Case]) -> Record:
    return Record(file, "today", {"card": {"name": card, "uuid": str(len(cases))}}, {"small": False}, cases)


def test_a_record_is_whole_and_any_card_of_the_same_kind_may_go_on_with_it(tmp_path: Path) -> None:
    file = tmp_path / "records" / "gpu.json"
    assert cases_of(record_of(file, "one", [])) == []
    record_of(file, "one", [{"visit": "sd plain", "asked": PLAIN, "psnr": math.inf, "seconds": 1 / 3}]).write()
    [kept] = cases_of(record_of(file, "one", []))
    assert (kept["visit"], kept["psnr"], kept["seconds"]) == ("sd plain", None, 0.3333333)
    assert [found.name for found in file.parent.iterdir()] == ["gpu.json"]


def test_the_record_of_another_kind_of_card_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    record_of(file, "one", []).write()
    with pytest.raises(ValueError, match=r"gpu\.json is no record of this machine's kind; name another --out"):
        cases_of(record_of(file, "another", []))
    file.write_text("{")
    with pytest.raises(ValueError, match="is no record"):
        cases_of(record_of(file, "one", []))


def test_equal_pictures_are_infinitely_close_and_a_step_of_one_is_known() -> None:
    import numpy as np

    one = np.zeros((8, 8, 3), np.uint8)
    assert psnr(one, one) == math.inf
    assert psnr(one, one + np.uint8(1)) == pytest.approx(48.13, abs=0.01)


def test_work_that_cannot_be_asked_to_stop_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AGAIN_SECONDS", 0.05)
    heard = []

    def stubborn() -> None:
        while True:
            try:
                time.monotonic()
            except Exception:  # what compilers do with errors; this one must not be kept
                continue
            except TimeUp:  # as a destructor does with it
                heard.append(1)
                if len(heard) > 1:
                    raise

    with pytest.raises(TimeUp), at_most(0.05):
        stubborn()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_every_package_that_is_carried_has_a_pinned_version_and_none_of_them_is_torch() -> None:
    known = pins(PACKAGE_ROOT)
    pinned, unpinned = chosen(known, WANTED)
    assert chosen(known, OPTIONAL)[1] == []
    assert {"diffusers==0.40.0", "nvidia-ml-py==13.615.71"} <= set(pinned)
    assert set(unpinned) <= {"peft", "torchao", "DeepCache"}  # pinned with the extras
    assert not {"torch", "triton"} & {normal(name) for name in WANTED}


def test_the_second_start_has_the_arguments_of_the_first_but_for_the_wheels() -> None:
    assert _without_wheels(["--wheels", "w", "--small", "--wheels=w", "--only", "sd"]) == ["--small", "--only", "sd"]
