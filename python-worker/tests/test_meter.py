"""What a batch is said to have taken, on real classes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import FirstBlockCacheConfig, FluxTransformer2DModel, UNet2DConditionModel

from kilnwatt_worker.diffusers_engine.core import core_of, observable
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.flops import FlopCounts, count, flux_sizes, unet_sizes
from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.diffusers_engine.meter import DenoiseMeter, told_mfu
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, denoiser_of
from kilnwatt_worker.errors import Stopped
from kilnwatt_worker.parts import Level, Params, StepSeconds, Work
from proof.architectures import sd_unet
from tests.samples import FLUX_PARAMS, PARAMS, Recorder, generate_of, item, load_of


@pytest.fixture
def engine() -> DiffusersEngine:
    return DiffusersEngine()


def took(engine: DiffusersEngine, folder: Path, params: Params, rows: int, tmp_path: Path) -> tuple[StepSeconds, Work]:
    engine.load(load_of(folder), lambda _level, _message: None)
    return batch(engine, params, rows, tmp_path)


def batch(engine: DiffusersEngine, params: Params, rows: int, tmp_path: Path) -> tuple[StepSeconds, Work]:
    generate = generate_of([item(number, tmp_path / f"{number}.part") for number in range(rows)], params)
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    assert recorder.failures == {}
    return recorder.took[0]


def denoiser_in(engine: DiffusersEngine) -> torch.nn.Module:
    assert engine._loaded is not None
    found: torch.nn.Module = denoiser_of(engine._loaded.pipe)
    return found


def test_the_counted_work_of_stable_diffusion_is_the_known_figure_and_takes_no_memory() -> None:
    with torch.device("meta"):
        config = sd_unet().config
    assert count(UNet2DConditionModel, config, unet_sizes(config, (64, 64), 77, 768)) == pytest.approx(0.803, abs=0.001)


def test_a_small_flux_is_counted_as_its_matrices_say() -> None:
    """All of it is matrix products: tokens x inputs x outputs, and tokens squared in attention; by hand."""
    config = FluxTransformer2DModel(
        in_channels=4,
        num_layers=0,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=8,
        pooled_projection_dim=8,
        axes_dims_rope=(4, 4, 8),
    ).config
    width, tokens, places = 32, 6, 16
    everywhere = tokens + places
    block = everywhere * (3 * width * width + width * 4 * width + 5 * width * width) + width * 3 * width
    attention = 2 * everywhere * everywhere * width
    around = places * 4 * width + tokens * 8 * width + width * 2 * width + places * width * 4
    time_and_text = 256 * width + width * width + 8 * width + width * width
    by_hand = 2 * (block + attention + around + time_and_text) / 1e12
    counted = count(FluxTransformer2DModel, config, flux_sizes(config, (8, 8), tokens, 8, 8))
    assert counted == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize(("guidance", "passes"), [(5.0, 2), (1.0, 1)], ids=["guided", "without guidance"])
def test_guidance_doubles_the_work_of_a_unet_but_not_its_calls(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path, guidance: float, passes: int
) -> None:
    params = replace(PARAMS, guidance=guidance)
    steps, work = took(engine, model("sdxl"), params, 3, tmp_path)
    a_row = row_of(denoiser_in(engine), (8, 8), xl=True)
    assert (steps.count, work.calls) == (4, 4)
    assert work.teraflops == pytest.approx(4 * 3 * passes * a_row)
    assert 0 < steps.median <= steps.slowest


def row_of(denoiser: torch.nn.Module, latents: tuple[int, int], xl: bool) -> float:
    config = vars(denoiser)["_internal_dict"]
    sizes = dict(unet_sizes(config, latents, 77, config["cross_attention_dim"]))
    added = {"text_embeds": (1, 32), "time_ids": (1, 6)} if xl else {}
    return count(type(denoiser), config, {**sizes, **added})


def test_true_guidance_calls_flux_twice_a_step(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    _, plain = took(engine, model("flux"), FLUX_PARAMS, 2, tmp_path)
    _, guided = batch(engine, replace(FLUX_PARAMS, guidance=4.0), 2, tmp_path)
    assert (plain.calls, guided.calls) == (3, 6)
    assert plain.teraflops is not None
    assert guided.teraflops == pytest.approx(2 * plain.teraflops)


def test_a_second_batch_of_a_shape_is_not_counted_again(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    engine.load(load_of(model("sd")), lambda _level, _message: None)
    phases = []
    for width in (64, 64, 128):
        generate = generate_of([item(0, tmp_path / "0.part")], replace(PARAMS, width=width))
        recorder = Recorder(generate)
        engine.generate(generate, recorder)
        phases.append("compile" in recorder.phases)
    assert phases == [True, False, True]


def test_steps_that_a_cache_skips_are_neither_called_nor_counted(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    params = replace(FLUX_PARAMS, steps=6)
    _, whole = took(engine, model("flux"), params, 1, tmp_path)
    engine.load(load_of(model("flux")), lambda _level, _message: None)
    transformer = denoiser_in(engine)
    assert isinstance(transformer, FluxTransformer2DModel)
    # So large a threshold that all steps but the first are skipped.
    transformer.enable_cache(FirstBlockCacheConfig(threshold=1e6))
    _, skipped = batch(engine, params, 1, tmp_path)
    assert (whole.calls, skipped.calls) == (6, 1)
    assert whole.teraflops is not None
    assert skipped.teraflops == pytest.approx(whole.teraflops / 6)


def test_a_batch_that_is_given_up_leaves_no_hook_behind(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    engine.load(load_of(model("sd")), lambda _level, _message: None)
    generate = generate_of([item(0, tmp_path / "0.part")])
    with pytest.raises(Stopped):
        engine.generate(generate, Recorder(generate, cancel_at=2))
    assert [part for part in denoiser_in(engine).modules() if part._forward_hooks] == []


@pytest.mark.parametrize(
    ("family", "core"), [("sd", "mid_block.attentions.0.norm"), ("flux", "single_transformer_blocks.0.norm.linear")]
)
def test_the_core_is_a_module_with_weights_in_the_deepest_block(
    model: Callable[[str], Path], family: str, core: str
) -> None:
    denoiser = denoiser_of(loaded(model(family)).pipe)
    assert core_of(denoiser) == core
    assert observable(denoiser, core) is not None


@pytest.mark.parametrize("around", ["", "mid_block", "mid_block.attentions.0"])
def test_in_compiled_code_nothing_is_watched_and_the_calls_are_those_that_the_steps_mean(
    model: Callable[[str], Path], around: str
) -> None:
    ready = loaded(model("sd"))
    denoiser = denoiser_of(ready.pipe)
    denoiser.get_submodule(around).compile(backend="eager")
    path = core_of(denoiser)
    assert path is not None
    assert observable(denoiser, path) is None
    work = metered(ready, steps=4)
    assert (work.calls, work.teraflops) == (4, 4 * 3 * 2 * 0.5)


def test_the_work_of_a_step_cache_inside_compiled_code_is_unknown(model: Callable[[str], Path]) -> None:
    ready = loaded(model("sd"))
    denoiser_of(ready.pipe).compile(backend="eager")
    cached = replace(ready, settings={**ready.settings, "step_cache": "deepcache"})
    assert metered(cached, steps=4).teraflops is None


def loaded(folder: Path) -> LoadedPipeline:
    return load_pipeline(load_of(folder), lambda _level, _message: None)


def metered(ready: LoadedPipeline, steps: int) -> Work:
    """Three rows of half a TFLOP each, denoised in no time."""
    with DenoiseMeter(ready, PARAMS, 3, 0.5, lambda _level, _message: None) as meter:
        for _ in range(steps):
            meter.step()
    return meter.work()


def test_a_denoiser_that_cannot_be_rebuilt_has_no_figure_and_its_batch_goes_on(model: Callable[[str], Path]) -> None:
    ready = loaded(model("sd"))
    text = {"prompt_embeds": torch.zeros(1, 77, 5)}  # a width that the denoiser does not take
    assert FlopCounts().of_row(ready, text, PARAMS, lambda: None) is None
    assert FlopCounts().of_row(replace(ready, family="other"), text, PARAMS, lambda: None) is None


def test_a_utilisation_over_one_is_left_out_and_said_to_be_invalid() -> None:
    logs: list[tuple[Level, str]] = []

    def log(level: Level, message: str) -> None:
        logs.append((level, message))

    assert told_mfu(50.0, 1.0, 100.0, log) == 0.5
    assert told_mfu(50.0, 1.0, None, log) is None
    assert logs == []
    assert told_mfu(300.0, 1.0, 100.0, log) is None
    assert [level for level, _ in logs] == ["warning"]
    assert "an MFU of 300% is invalid" in logs[0][1]


def test_on_a_cpu_there_is_work_and_no_utilisation(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    _, work = took(engine, model("sd"), PARAMS, 1, tmp_path)
    assert work.teraflops is not None
    assert work.mfu is None
