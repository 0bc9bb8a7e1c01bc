"""Steps that are skipped, told by how often the middle of the denoiser runs, and what the next call knows of them."""

import gc
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, denoiser_of
from kilnwatt_worker.errors import Stopped, WorkerError
from kilnwatt_worker.parts import Params, StepCache
from tests.samples import FLUX_PARAMS, PARAMS, PRESET, Recorder, generate_of, item, load_of
from tests.test_same_picture import through_the_seam

STEPS = 8


def params_of(family: str, scheduler: str = "dpmpp_2m") -> Params:
    if family == "flux":
        return replace(FLUX_PARAMS, steps=STEPS)
    return replace(PARAMS, steps=STEPS, scheduler=scheduler, schedule="normal")


def cached(path: Path, kind: StepCache, strength: float) -> LoadedPipeline:
    preset = replace(PRESET, step_cache=kind, step_cache_strength=strength)
    return load_pipeline(load_of(path, preset), lambda _level, _message: None)


class Calls:
    """Of what a skipped step leaves out: the middle of a UNet, the blocks after the first of a transformer."""

    def __init__(self, loaded: LoadedPipeline) -> None:
        denoiser = denoiser_of(loaded.pipe)
        unet = loaded.family != "flux"
        core = denoiser.mid_block.resnets[0] if unet else denoiser.single_transformer_blocks[0].attn
        self.count = 0
        core.register_forward_hook(self._called)

    def _called(self, *_: object) -> None:
        self.count += 1


@pytest.mark.parametrize(
    ("family", "kind", "strength", "scheduler", "whole"),
    [
        ("sd", "deepcache", 2, "dpmpp_2m", 4),
        ("sd", "deepcache", 3, "dpmpp_2m", 3),
        ("sdxl", "deepcache", 2, "dpmpp_2m", 4),
        ("sd", "deepcache", 2, "pndm", 5),  # nine calls, two of one timestep
        ("sd", "deepcache", 2, "heun", 8),  # fifteen calls
        ("flux", "first_block", 100, "flow_match_euler", 1),
    ],
)
def test_steps_are_skipped_and_counted_anew_in_each_call(
    family: str, kind: StepCache, strength: float, scheduler: str, whole: int, model: Callable[[str], Path]
) -> None:
    loaded = cached(model(family), kind, strength)
    assert loaded.settings["step_cache"] == kind
    assert loaded.settings["step_cache_strength"] == strength
    plain = load_pipeline(load_of(model(family)), lambda _level, _message: None)
    assert (plain.settings["step_cache"], plain.settings["step_cache_strength"]) == ("none", 0)

    calls, params = Calls(loaded), params_of(family, scheduler)
    (first,) = through_the_seam(loaded, [item(0)], params)
    assert calls.count == whole
    through_the_seam(loaded, [item(5), item(6)], replace(params, width=96))
    (again,) = through_the_seam(loaded, [item(0)], params)
    assert calls.count == 3 * whole
    assert torch.equal(first.floats, again.floats)
    (reference,) = through_the_seam(plain, [item(0)], params)
    assert 0 < float((first.floats - reference.floats).abs().mean()) < 0.1


def test_a_cache_that_skips_nothing_changes_nothing(model: Callable[[str], Path]) -> None:
    plain = load_pipeline(load_of(model("flux")), lambda _level, _message: None)
    loaded, params = cached(model("flux"), "first_block", 1e-9), params_of("flux")
    calls = Calls(loaded)
    (made,), (reference,) = (through_the_seam(one, [item(0)], params) for one in (loaded, plain))
    assert calls.count == STEPS
    assert torch.equal(made.floats, reference.floats)


@pytest.mark.parametrize(("family", "kind", "strength"), [("sd", "deepcache", 5), ("flux", "first_block", 100)])
def test_a_cancelled_batch_leaves_nothing_to_the_next(
    family: str, kind: StepCache, strength: float, model: Callable[[str], Path], tmp_path: Path
) -> None:
    preset = replace(PRESET, step_cache=kind, step_cache_strength=strength)
    made = []
    for cancelled_before in (False, True):
        engine = DiffusersEngine()
        engine.load(load_of(model(family), preset), lambda _level, _message: None)
        if cancelled_before:
            given_up = generate_of([item(1, tmp_path / "given-up.png")], params_of(family))
            with pytest.raises(Stopped):
                engine.generate(given_up, Recorder(given_up, cancel_at=3))
        wanted = generate_of([item(0, tmp_path / f"{cancelled_before}.png")], params_of(family))
        engine.generate(wanted, Recorder(wanted))
        made.append((tmp_path / f"{cancelled_before}.png").read_bytes())
    assert made[0] == made[1]


def test_by_deepcache_a_batch_equals_its_single_runs(model: Callable[[str], Path]) -> None:
    loaded, items = cached(model("sd"), "deepcache", 3), [item(0), item(1, negative="blurry"), item(2)]
    batch = through_the_seam(loaded, items, params_of("sd"))
    for one, together in zip(items, batch, strict=True):
        (alone,) = through_the_seam(loaded, [one], params_of("sd"))
        assert float((alone.floats - together.floats).abs().max()) < 1e-4


def test_nothing_of_a_cache_outlives_its_model(model: Callable[[str], Path], tmp_path: Path) -> None:
    engine = DiffusersEngine()
    preset = replace(PRESET, step_cache="deepcache", step_cache_strength=2.0)
    engine.load(load_of(model("sd"), preset), lambda _level, _message: None)
    assert engine._loaded is not None
    unet = weakref.ref(engine._loaded.pipe.unet)
    wanted = generate_of([item(0, tmp_path / "one.png")])
    engine.generate(wanted, Recorder(wanted))
    engine.unload()
    gc.collect()
    assert unet() is None
    plain = load_pipeline(load_of(model("sd")), lambda _level, _message: None)
    assert [name for name, module in plain.pipe.unet.named_modules() if "forward" in vars(module)] == []


@pytest.mark.parametrize(
    ("family", "kind", "strength", "sentence"),
    [
        ("sd", "first_block", 0.1, "step_cache=first_block cannot hold with a UNet"),
        ("flux", "deepcache", 2, "step_cache=deepcache cannot hold with a transformer"),
        ("sd", "deepcache", 1.5, "step_cache=deepcache with step_cache_strength=1.5 cannot hold"),
        ("flux", "first_block", 0, "no step would ever be left out"),
    ],
)
def test_what_a_denoiser_cannot_skip_is_refused(
    family: str, kind: StepCache, strength: float, sentence: str, model: Callable[[str], Path]
) -> None:
    with pytest.raises(WorkerError) as caught:
        cached(model(family), kind, strength)
    assert caught.value.code == "preset_impossible"
    assert sentence in caught.value.message


def test_the_package_that_a_cache_needs_is_named(model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "DeepCache", None)
    with pytest.raises(WorkerError, match=r"needs the package DeepCache.*\./scripts/setup --with deepcache") as caught:
        cached(model("sd"), "deepcache", 2)
    assert caught.value.code == "preset_package_missing"
