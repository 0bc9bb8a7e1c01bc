"""Settings that cannot hold, by the same cases as the orchestrator's own reader of the rules."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from kilnwatt_worker.combinations import Facts, impossible, refuse, rules
from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Level, Preset
from tests.samples import PRESET, load_of
from tests.worker_process import PACKAGE_ROOT

CASES = json.loads((PACKAGE_ROOT.parent / "test/fixtures/combinations/cases.json").read_text(encoding="utf-8"))


def silent(level: Level, message: str) -> None:
    del level, message


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['settings']} {case['facts']}")
def test_both_languages_judge_a_case_by_the_same_rule_in_the_same_words(case: Mapping[str, Any]) -> None:
    found = impossible(Preset("mine", **case["settings"]), Facts(**case["facts"]))
    assert (found and found.name, found and found.sentence) == (case["rule"], case["sentence"])


def test_every_rule_is_broken_by_a_case() -> None:
    assert {rule.name for rule in rules()} == {case["rule"] for case in CASES} - {None}


def test_rules_speak_of_values_that_there_are() -> None:
    for rule in rules():
        for field, values in (*rule.when.items(), *rule.unless.items()):
            choices = get_args(get_type_hints(Preset)[field])
            assert [value for value in values if isinstance(value, str) and value not in choices] == [], rule.name
        for fact, values in rule.facts.items():
            known = [choice for kind in get_args(get_type_hints(Facts)[fact]) for choice in get_args(kind)]
            assert [value for value in values if isinstance(value, str) and value not in known] == [], rule.name


def test_a_refusal_names_the_preset_and_has_a_code_of_its_own() -> None:
    with pytest.raises(WorkerError, match=r"^mine: compile=full with offload=sequential cannot hold: ") as refused:
        refuse(Preset("mine", offload="sequential", compile="full"), Facts())
    assert (refused.value.code, refused.value.retryable) == ("preset_impossible", False)


@pytest.mark.parametrize(
    ("family", "settings", "words"),
    [
        ("sd", {"step_cache": "first_block", "step_cache_strength": 0.1}, "with a UNet"),
        ("flux", {"step_cache": "deepcache", "step_cache_strength": 3.0}, "with a transformer"),
        ("flux", {"quantize": "fp8_dynamic"}, "on the CPU"),
    ],
)
def test_what_cannot_hold_is_refused_before_any_weights_are_read(
    model: Callable[[str], Path], tmp_path: Path, family: str, settings: dict[str, object], words: str
) -> None:
    folder = _with_torn_weights(model(family), tmp_path)
    preset = replace(PRESET, **settings)  # type: ignore[arg-type]
    with pytest.raises(WorkerError, match=words) as refused:
        load_pipeline(load_of(folder, preset), silent)
    assert refused.value.code == "preset_impossible"


def test_a_missing_package_is_told_before_any_weights_are_read(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flux was read for minutes, 34 GB of it, until that was said."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    preset = replace(PRESET, quantize_text="nf4")
    with pytest.raises(WorkerError, match="--with bitsandbytes") as refused:
        load_pipeline(load_of(_with_torn_weights(model("sd"), tmp_path), preset), silent)
    assert refused.value.code == "preset_package_missing"


def test_the_same_folder_without_such_a_preset_fails_for_its_weights(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(WorkerError) as refused:
        load_pipeline(load_of(_with_torn_weights(model("sd"), tmp_path)), silent)
    assert refused.value.code == "model_broken"


def _with_torn_weights(model: Path, tmp_path: Path) -> Path:
    """A folder like the model's, whose weights are no weights."""
    folder = tmp_path / "torn"
    for file in model.rglob("*"):
        if file.is_file():
            copy = folder / file.relative_to(model)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(b"torn" if file.suffix == ".safetensors" else file.read_bytes())
    return folder
