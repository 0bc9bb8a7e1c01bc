"""The denoiser as compiled code. What only has to be traced is traced by dynamo, without the minutes of a compiler."""

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
import torch
import torch._inductor.config
from diffusers import FluxTransformer2DModel
from diffusers.models.attention_processor import AttnProcessor

from kilnwatt_worker.diffusers_engine import compile_trial, compiled, lora, tensorrt
from kilnwatt_worker.diffusers_engine.compile_watch import watched
from kilnwatt_worker.diffusers_engine.denoise import denoise
from kilnwatt_worker.diffusers_engine.encode import encode
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.diffusers_engine.pipeline import Family, LoadedPipeline, Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import LoraRef, Params, Preset, StepCache
from tests.closeness import psnr
from tests.lora_batches import ref
from tests.lora_files import lora_file
from tests.samples import FLUX_PARAMS, PARAMS, Recorder, generate_of, item, load_of
from tests.test_same_picture import through_the_seam
from tiny_models.pipelines import RECIPES, make
from training.eval_shapes import BOX

PLAIN = Preset("plain", dtype="float32")
REGIONAL = replace(PLAIN, compile="regional")
FULL = replace(PLAIN, compile="full")
NO_COMPILER = torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)})


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    compiled.forget()


def loaded_of(path: Path, preset: Preset = PLAIN) -> LoadedPipeline:
    return load_pipeline(load_of(path, preset), lambda _level, _message: None)


def target_of(loaded: LoadedPipeline, preset: Preset, family: Family = "sd") -> Target:
    return Target(loaded.pipe, preset, family, loaded.device, BOX, lambda _level, _message: None)


def traced_only(loaded: LoadedPipeline) -> Pipeline:
    """Compiled as far as dynamo goes; its graphs run as they are written."""
    denoiser = loaded.pipe.unet
    denoiser.compile_repeated_blocks(fullgraph=True, backend="eager", dynamic=False)
    loaded.pipe.compiled_shapes = set()
    return denoiser


def batch(loaded: LoadedPipeline, count: int, loras: tuple[LoraRef, ...] = ()) -> Recorder:
    """The denoising of a batch, watched."""
    items, params = [item(number) for number in range(count)], replace(PARAMS, loras=loras)
    recorder = Recorder(generate_of(items, params))
    lora.use(loaded, loras, recorder.log)
    conditioning = encode(loaded, items, params)
    with watched(loaded, params, recorder):
        denoise(loaded, conditioning, params, [one.seed for one in items], recorder.progress)
    return recorder


def test_compiled_blocks_of_the_model_in_the_box_draw_the_same_and_compile_once_a_bucket(tmp_path: Path) -> None:
    def drawn(name: str, count: int) -> Recorder:
        draws = [item(one, tmp_path / f"{name}-{one}", prompt="a red circle on a blue sky") for one in range(count)]
        recorder = Recorder(generate_of(draws))
        engine.generate(recorder.generate, recorder)
        assert len(recorder.images) == count
        return recorder

    engine = DiffusersEngine()
    engine.load(load_of(BOX, PLAIN), lambda _level, _message: None)
    assert drawn("plain", 2).took[0][1].graphs == 0
    facts = engine.load(load_of(BOX, replace(REGIONAL, buckets=(2,))), lambda _level, _message: None)
    assert (facts.settings["compile"], facts.settings["compile_mode"], facts.downgrades) == ("regional", "default", ())

    cold, warm = drawn("cold", 2), drawn("warm", 1)
    assert list(dict.fromkeys(cold.phases)) == ["encode", "denoise", "compile", "decode", "save"]
    assert cold.phases[1:4] == ["denoise", "compile", "denoise"]
    assert cold.took[0][1].graphs > 0
    assert ("compile" in warm.phases, warm.took[0][1].graphs, warm.logs) == (False, 0, [])
    assert cold.took[0][0].count == 4
    for name in ("cold-0", "cold-1", "warm-0"):
        assert psnr(tmp_path / f"plain-{name[-1]}", tmp_path / name) >= 40


def test_a_whole_denoiser_compiles_to_one_graph_and_gives_the_same_latents(tmp_path: Path) -> None:
    """Of one block, because a compiler takes a second for each few lines."""
    made_of = make(RECIPES["flux"])
    config = {**made_of.transformer.config, "num_layers": 0}
    made_of.register_modules(transformer=FluxTransformer2DModel.from_config(config))
    made_of.save_pretrained(tmp_path)
    plain, full = loaded_of(tmp_path), loaded_of(tmp_path, FULL)
    assert (full.settings["compile"], full.downgrades) == ("full", ())
    before = compiled.graphs()
    items, seeds = [item(0)], [1]
    recorder = Recorder(generate_of(items, FLUX_PARAMS))
    with watched(full, FLUX_PARAMS, recorder):
        made = denoise(full, encode(full, items, FLUX_PARAMS), FLUX_PARAMS, seeds, recorder.progress)
    assert compiled.graphs() - before == 1
    expected = denoise(plain, encode(plain, items, FLUX_PARAMS), FLUX_PARAMS, seeds, recorder.progress)
    assert float((made - expected).abs().max()) < 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize(("family", "mode"), [("sdxl", "default"), ("flux", "max-autotune-no-cudagraphs")])
def test_compiled_blocks_are_read_back_from_the_blocks(model: Callable[[str], Path], family: str, mode: str) -> None:
    loaded = loaded_of(model(family), replace(REGIONAL, compile_mode=mode))  # type: ignore[arg-type]
    assert (loaded.settings["compile"], loaded.settings["compile_mode"]) == ("regional", mode)
    denoiser = loaded.pipe.transformer if family == "flux" else loaded.pipe.unet
    blocks = [part for part in denoiser.modules() if type(part).__name__ in denoiser._repeated_blocks]
    assert denoiser._compiled_call_impl is None
    blocks[-1]._compiled_call_impl = None
    assert compiled.in_effect(loaded.pipe)["compile"] == "regional in part"
    for block in blocks:
        block._compiled_call_impl = None
    assert compiled.in_effect(loaded.pipe) == {"compile": "none", "compile_mode": "default"}


@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_a_mode_with_cuda_graphs_is_read_back_for_a_whole_denoiser(model: Callable[[str], Path], mode: str) -> None:
    loaded = loaded_of(model("flux"), replace(FULL, compile_mode=mode))  # type: ignore[arg-type]
    assert (loaded.settings["compile"], loaded.settings["compile_mode"]) == ("full", mode)


def test_the_first_call_of_each_shape_is_the_phase_compile_and_a_known_shape_is_not(
    model: Callable[[str], Path],
) -> None:
    loaded = loaded_of(model("sd"))
    denoiser = traced_only(loaded)
    assert batch(loaded, 1).phases == ["compile", "denoise"]
    assert batch(loaded, 2).phases == ["compile", "denoise"]
    known = batch(loaded, 1)
    assert (known.phases, known.logs) == ([], [])
    assert denoiser._compiled_call_impl is None, "the watch is left behind"


def test_compiling_anew_in_a_known_shape_is_a_warning_with_dynamos_reason(model: Callable[[str], Path]) -> None:
    loaded = loaded_of(model("sd"))
    denoiser = traced_only(loaded)
    batch(loaded, 1)
    denoiser.set_attn_processor(AttnProcessor())
    recorder = batch(loaded, 1)
    phases = [phase for phase, _ in groupby(recorder.phases)]
    assert phases[:2] == ["compile", "denoise"], "its minutes were told as denoising, which has a shorter limit"
    assert phases == ["compile", "denoise"] * (len(phases) // 2)
    assert {level for level, _ in recorder.logs} == {"warning"}
    assert "compiled anew for a shape that it knew" in recorder.logs[0][1]
    assert "AttnProcessor" in recorder.logs[0][1]


@pytest.mark.parametrize(("rank", "compiling"), [(0, [True, True, True]), (8, [True, True, False])])
def test_what_a_change_of_loras_makes_compile_anew_is_told_as_compiling(
    model: Callable[[str], Path], tmp_path: Path, rank: int, compiling: list[bool]
) -> None:
    """It was told as denoising, whose limit is minutes shorter, so that a worker was killed and its jobs blamed."""
    loaded = loaded_of(model("sd"), replace(PLAIN, lora_rank=rank))
    traced_only(loaded)
    made = ref(lora_file(tmp_path, "sd", 1, rank=4, targets={"unet": ["to_q"]}))
    told = [batch(loaded, 1, loras) for loras in ((), (made,), ())]
    assert [one.phases == ["compile", "denoise"] for one in told] == compiling
    assert [log for one in told for log in one.logs] == []


def test_after_a_lora_that_cannot_be_used_the_base_is_told_as_compiling_too(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    """The LoRA of the batch before is switched off, and its compiled code is of no more use."""
    loaded = loaded_of(model("sd"))
    traced_only(loaded)
    made = ref(lora_file(tmp_path, "sd", 1, targets={"unet": ["to_q"]}))
    batch(loaded, 1)
    batch(loaded, 1, (made,))
    with pytest.raises(WorkerError, match="cannot be read"):
        batch(loaded, 1, (LoraRef("none", str(tmp_path / "none.safetensors"), 1.0),))
    told = batch(loaded, 1)
    assert (told.phases, told.logs) == (["compile", "denoise"], [])


def test_a_denoiser_that_is_no_single_graph_stays_as_it_is_and_the_reason_is_named(
    model: Callable[[str], Path],
) -> None:
    loaded = loaded_of(model("sd"))
    loaded.pipe.unet.mid_block.attentions[0].transformer_blocks[0].register_forward_hook(
        lambda _module, _given, _made: torch._dynamo.graph_break()
    )
    target = target_of(loaded, REGIONAL)
    compiled.apply(target)
    [downgrade] = target.downgrades
    assert (downgrade.setting, downgrade.asked, downgrade.in_effect) == ("compile", "regional", "none")
    assert "graph_break" in downgrade.reason
    assert compiled.in_effect(loaded.pipe) == {"compile": "none", "compile_mode": "default"}


@pytest.mark.parametrize(
    ("family", "kind", "strength", "params"),
    [("flux", "first_block", 0.5, FLUX_PARAMS), ("sd", "deepcache", 2.0, PARAMS)],
)
def test_compiled_blocks_under_a_step_cache_make_the_same_picture(
    model: Callable[[str], Path], family: str, kind: StepCache, strength: float, params: Params
) -> None:
    """The trial at load left its few latents in DeepCache, and the first step of the first batch broke on them."""
    preset = replace(PLAIN, step_cache=kind, step_cache_strength=strength)
    plain, cached = loaded_of(model(family), preset), loaded_of(model(family), replace(preset, compile="regional"))
    assert (cached.settings["compile"], cached.settings["step_cache"], cached.downgrades) == ("regional", kind, ())
    denoiser = denoiser_of(cached.pipe)
    whole = compile_trial.one_graph(cached.preset)
    denoiser.compile_repeated_blocks(fullgraph=whole, backend="eager", dynamic=False)
    made = [through_the_seam(one, [item(1)], replace(params, steps=4))[0].floats for one in (plain, cached)]
    assert torch.equal(*made)


def test_a_host_without_a_compiler_is_a_named_downgrade(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with NO_COMPILER:
        loaded = loaded_of(model("sd"), replace(FULL, compile_mode="max-autotune"))
    assert loaded.settings["compile"] == "none"
    assert [(one.setting, one.reason) for one in loaded.downgrades] == [
        ("compile", "needs a C compiler (gcc and g++)"),
        ("compile_mode", "needs a C compiler (gcc and g++)"),
    ]


def test_what_only_fails_for_a_real_shape_names_the_shape_and_the_reason(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded = loaded_of(model("sd"), REGIONAL)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with (
        NO_COMPILER,
        pytest.raises(WorkerError, match=r"compiling the denoiser for 64x64 failed \(needs a C compiler") as failed,
    ):
        batch(loaded, 1)
    assert failed.value.code == "preset_not_in_effect"
    assert loaded.pipe.unet._compiled_call_impl is None


def test_a_pipeline_that_is_not_known_is_not_compiled_and_says_so(model: Callable[[str], Path]) -> None:
    target = target_of(loaded_of(model("sd")), FULL, family="other")
    compiled.apply(target)
    assert [one.setting for one in target.downgrades] == ["compile"]
    assert compiled.in_effect(target.pipe)["compile"] == "none"


def test_tensorrt_without_a_card_is_a_named_downgrade_and_with_one_its_package_is_asked_for(
    model: Callable[[str], Path],
) -> None:
    preset = replace(PLAIN, compile="tensorrt")
    loaded = loaded_of(model("sd"), preset)
    assert loaded.settings["compile"] == "none"
    assert [(one.setting, one.reason) for one in loaded.downgrades] == [("compile", "TensorRT needs an NVIDIA card")]
    with pytest.raises(WorkerError, match="--with tensorrt") as missing:
        tensorrt.refusal(replace(target_of(loaded, preset), device=torch.device("cuda:0")))
    assert missing.value.code == "preset_package_missing"


def test_a_stub_in_place_of_torch_tensorrt_proves_nothing(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch_tensorrt.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    target = target_of(loaded_of(model("sd")), replace(PLAIN, compile="tensorrt"))
    assert tensorrt.refusal(replace(target, device=torch.device("cuda:0"))) is not None
    assert compiled.in_effect(target.pipe)["compile"] == "none"


def test_engines_are_kept_in_the_folder_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILNWATT_ENGINE_CACHE", str(tmp_path / "engines"))
    chosen = tensorrt.options(torch.device("cuda:0"))
    assert chosen["engine_cache_dir"] == str(tmp_path / "engines")
    assert (chosen["cache_built_engines"], chosen["reuse_cached_engines"]) == (True, True)
