"""The real engine with real diffusers, on tiny models."""

import json
import os
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SchedulerMixin,
)
from PIL import Image
from safetensors.torch import load_file, save_file

from kilnwatt_worker.diffusers_engine.decode import decode, to_picture
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.load import dtype_of, load_pipeline, promises_flow_matching
from kilnwatt_worker.diffusers_engine.optimise import settings_in_effect
from kilnwatt_worker.engine import EngineFacts
from kilnwatt_worker.errors import BadRequest, Stopped, WorkerError
from kilnwatt_worker.model_folder import judge
from kilnwatt_worker.parts import Level, Params
from tests.samples import FLUX_PARAMS, PARAMS, PRESET, Recorder, generate_of, item, load_of
from tests.worker_process import PACKAGE_ROOT


@pytest.fixture
def engine() -> DiffusersEngine:
    return DiffusersEngine()


def load(engine: DiffusersEngine, path: Path, **preset: object) -> tuple[EngineFacts, list[tuple[Level, str]]]:
    logs: list[tuple[Level, str]] = []
    changed = replace(PRESET, **preset)  # type: ignore[arg-type]
    return engine.load(load_of(path, changed), lambda level, message: logs.append((level, message))), logs


def test_a_batch_gives_one_picture_an_item_in_its_file(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    load(engine, model("sd"))
    generate = generate_of([item(number, tmp_path / f"{number}.part") for number in range(3)])
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    assert recorder.images == {"job-0": (64, 64), "job-1": (64, 64), "job-2": (64, 64)}
    assert recorder.steps[-1] == (4, 4)
    # In a first batch of a shape the denoiser's work is counted, which is booked as compiling.
    assert list(dict.fromkeys(recorder.phases)) == ["encode", "compile", "denoise", "decode", "save"]
    assert len({(tmp_path / f"{number}.part").read_bytes() for number in range(3)}) == 3


@pytest.mark.parametrize(("form", "written"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_the_format_is_that_of_the_request_whatever_the_name(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path, form: str, written: str
) -> None:
    load(engine, model("sd"))
    params = replace(PARAMS, format=form)  # type: ignore[arg-type]
    generate = generate_of([item(0, tmp_path / "picture.tiff")], params)
    engine.generate(generate, Recorder(generate))
    with Image.open(tmp_path / "picture.tiff") as picture:
        assert (picture.format, picture.size) == (written, (64, 64))


@pytest.mark.parametrize("family", ["sdxl", "flux"])
def test_other_families_and_sizes_make_pictures_too(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path, family: str
) -> None:
    load(engine, model(family))
    params = replace(FLUX_PARAMS if family == "flux" else PARAMS, width=96, height=64)
    generate = generate_of([item(0, tmp_path / "0.part"), item(1, tmp_path / "1.part", negative="blurry")], params)
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    assert recorder.images == {"job-0": (96, 64), "job-1": (96, 64)}


def test_the_answer_to_a_load_holds_the_settings_in_effect(
    engine: DiffusersEngine, model: Callable[[str], Path]
) -> None:
    facts, logs = load(engine, model("sd"), dtype="auto", vae_slicing=True, vae_tiling=True)
    assert facts.settings == {
        "device": "cpu",
        "dtype": "float32",
        "vae_dtype": "float32",
        "tf32": False,
        "fp16_accumulation": False,
        "fused_qkv": False,
        "allocator": "default",
        "attention": "sdpa",
        "attention_processors": "AttnProcessor2_0",
        "scheduler": "PNDMScheduler",
        "vae_slicing": True,
        "vae_tiling": True,
        "vae_tile_pixels": 64,
        "offload": "none",
        "channels_last": False,
        "quantize": "none",
        "quantize_text": "none",
        "step_cache": "none",
        "step_cache_strength": 0.0,
        "decoder": "own",
        "compile": "none",
        "compile_mode": "default",
        "buckets": "",
        "prompt_cache": 0,
        "lora_rank": 0,
    }
    assert set(facts.versions) == {"torch", "diffusers", "transformers"}
    assert logs == []


@pytest.mark.parametrize(
    ("family", "pipeline_class", "vae_dtype"),
    [
        ("sdxl", "StableDiffusionXLPipeline", "float32"),
        ("sdxl", "StableDiffusionXLPAGPipeline", "float32"),
        ("sd", "StableDiffusionPipeline", "float16"),
    ],
)
def test_half_precision_is_in_effect_but_for_a_vae_that_its_pipeline_takes_out_of_it(
    engine: DiffusersEngine,
    model: Callable[[str], Path],
    tmp_path: Path,
    family: str,
    pipeline_class: str,
    vae_dtype: str,
) -> None:
    """A pipeline of SDXL's kind under another name made black pictures."""
    folder = Path(shutil.copytree(model(family), tmp_path / "model"))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": pipeline_class}))
    facts, _ = load(engine, folder, dtype="float16")
    assert (facts.settings["dtype"], facts.settings["vae_dtype"]) == ("float16", vae_dtype)


def test_tiling_really_tiles_above_its_threshold(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    def bytes_of(tiling: bool) -> bytes:
        load(engine, model("sd"), vae_tiling=tiling)
        generate = generate_of([item(0, tmp_path / "0.part")], replace(PARAMS, width=128, height=128))
        engine.generate(generate, Recorder(generate))
        return (tmp_path / "0.part").read_bytes()

    assert bytes_of(tiling=True) != bytes_of(tiling=False)


def test_sliced_attention_is_verified_by_its_processor(engine: DiffusersEngine, model: Callable[[str], Path]) -> None:
    facts, logs = load(engine, model("sd"), attention="sliced")
    in_effect = (facts.settings["attention"], facts.settings["attention_processors"])
    assert (in_effect, logs) == (("sliced", "SlicedAttnProcessor"), [])


def test_a_denoiser_that_shows_no_processors_has_an_unknown_attention(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_pipeline(load_of(model("sd")), lambda _level, _message: None)
    monkeypatch.setattr(type(loaded.pipe.unet), "attn_processors", None)
    assert settings_in_effect(loaded.pipe)["attention_processors"] == "unknown"


def test_a_model_of_the_edm_kind_is_refused_with_its_scheduler(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = with_scheduler(model("sd"), tmp_path / "edm", EDMEulerScheduler())
    with pytest.raises(WorkerError, match="it was trained for EDMEulerScheduler") as refused:
        load(engine, folder)
    assert refused.value.code == "model_unsupported"


@pytest.mark.parametrize(
    ("scheduler", "device", "dtype"),
    [
        (FlowMatchEulerDiscreteScheduler(), "cuda:0", torch.bfloat16),
        (DPMSolverMultistepScheduler(prediction_type="flow_prediction"), "cuda:0", torch.bfloat16),
        (EulerDiscreteScheduler(), "cuda:0", torch.float16),
        (FlowMatchEulerDiscreteScheduler(), "cpu", torch.float32),
    ],
)
def test_auto_is_half_precision_on_a_card_and_bfloat16_for_flow_matching_of_any_family(
    model: Callable[[str], Path], tmp_path: Path, scheduler: SchedulerMixin, device: str, dtype: torch.dtype
) -> None:
    folder = judge(str(with_scheduler(model("sd"), tmp_path / "model", scheduler)))
    assert dtype_of(replace(PRESET, dtype="auto"), promises_flow_matching(folder), torch.device(device)) is dtype


def with_scheduler(model: Path, folder: Path, scheduler: SchedulerMixin) -> Path:
    """A copy of the model that comes with another scheduler."""
    shutil.copytree(model, folder)
    scheduler.save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", type(scheduler).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(("family", "attention"), [("sd", "xformers"), ("flux", "sliced"), ("flux", "xformers")])
def test_a_setting_that_cannot_hold_is_a_named_downgrade(
    engine: DiffusersEngine, model: Callable[[str], Path], family: str, attention: str
) -> None:
    facts, logs = load(engine, model(family), attention=attention)
    assert facts.settings["attention"] == "sdpa"
    assert facts.settings["attention_processors"] in ("AttnProcessor2_0", "FluxAttnProcessor")
    assert [(one.setting, one.asked, one.in_effect) for one in facts.downgrades] == [("attention", attention, "sdpa")]
    assert [level for level, _ in logs] == ["warning"]
    assert f"attention={attention} is not in effect" in logs[0][1]


def test_offload_on_a_cpu_is_a_named_downgrade(engine: DiffusersEngine, model: Callable[[str], Path]) -> None:
    facts, logs = load(engine, model("sd"), offload="model")
    assert facts.settings["offload"] == "none"
    assert "nothing to offload to on a CPU" in logs[0][1]


def test_a_long_prompt_is_a_warning_that_names_the_job(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    load(engine, model("sd"))
    generate = generate_of([item(0, tmp_path / "0"), item(1, tmp_path / "1", prompt="a red circle " * 40)])
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    assert len(recorder.images) == 2
    assert recorder.logs == [
        ("warning", "the prompt of job job-1 is longer than the 77 tokens that the model reads; the rest is ignored")
    ]


@pytest.mark.parametrize(
    ("family", "params", "warned"),
    [
        ("sd", replace(PARAMS, guidance=1.0), True),
        ("sd", PARAMS, False),
        ("flux", FLUX_PARAMS, True),
        ("flux", replace(FLUX_PARAMS, guidance=2.0), False),
    ],
)
def test_negative_prompts_that_cannot_act_are_one_warning_for_the_batch(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path, family: str, params: Params, warned: bool
) -> None:
    load(engine, model(family))
    items = [item(number, tmp_path / str(number), negative="blurry") for number in range(2)]
    generate = generate_of([*items, item(2, tmp_path / "2")], params)
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    ignored = [("warning", "guidance 1 is not above 1; the batch's negative prompts are ignored")]
    assert recorder.logs == (ignored if warned else [])


@pytest.mark.parametrize(
    ("family", "params", "sentence"),
    [
        ("sd", replace(PARAMS, width=60), "60x64 is not divisible by 8"),
        ("flux", replace(FLUX_PARAMS, width=72), "72x64 is not divisible by 16"),
        ("sd", replace(PARAMS, distilled_guidance=3.5), "takes no distilled guidance"),
        ("flux", replace(FLUX_PARAMS, distilled_guidance=None), "takes a distilled guidance and the request has none"),
        ("flux", replace(FLUX_PARAMS, clip_skip=1), "clip skip means nothing"),
        ("sd", replace(PARAMS, clip_skip=3), "clip skip 3 leaves nothing"),
        ("sd", replace(PARAMS, scheduler="euler_a"), "euler_a has no schedule karras"),
        ("flux", replace(FLUX_PARAMS, scheduler="euler"), "needs flow_match_euler"),
    ],
)
def test_what_a_model_cannot_do_is_refused_before_any_work(
    engine: DiffusersEngine, model: Callable[[str], Path], family: str, params: Params, sentence: str
) -> None:
    load(engine, model(family))
    generate = generate_of([item(0)], params)
    recorder = Recorder(generate)
    with pytest.raises(BadRequest) as refused:
        engine.generate(generate, recorder)
    assert sentence in refused.value.message
    assert recorder.steps == []


def test_a_cancelled_batch_stops_between_two_steps_and_the_engine_goes_on(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    load(engine, model("sd"))
    generate = generate_of([item(0, tmp_path / "0")], replace(PARAMS, steps=10))
    stopped = Recorder(generate, cancel_at=2)
    with pytest.raises(Stopped):
        engine.generate(generate, stopped)
    assert stopped.steps == [(1, 10), (2, 10)]
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    assert list(recorder.images) == ["job-0"]


def test_a_picture_that_cannot_be_written_fails_alone(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    load(engine, model("sd"))
    generate = generate_of([item(0, tmp_path / "missing" / "0"), item(1, tmp_path / "1")])
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    assert list(recorder.images) == ["job-1"]
    assert recorder.failures["job-0"].code == "not_writable"


def test_a_model_that_makes_no_numbers_fails_each_picture_as_black(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model("sd"), broken)
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["conv_out.bias"].fill_(float("nan"))
    save_file(tensors, weights, {"format": "pt"})

    load(engine, broken)
    generate = generate_of([item(0, tmp_path / "0"), item(1, tmp_path / "1")])
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    assert [error.code for error in recorder.failures.values()] == ["black_image", "black_image"]
    assert not (tmp_path / "0").exists()


def test_a_vae_that_overflows_in_half_precision_makes_black_pictures_until_it_is_loaded_in_float32(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    loud = Path(shutil.copytree(model("sd"), tmp_path / "loud"))
    weights = loud / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["decoder.conv_in.weight"].mul_(10_000)  # the norm at the decoder's end takes it back again
    save_file(tensors, weights, {"format": "pt"})

    def made_with(vae_dtype: str) -> tuple[object, Recorder]:
        facts, logs = load(engine, loud, dtype="float16", vae_dtype=vae_dtype)
        assert (facts.settings["dtype"], logs) == ("float16", [])
        generate = generate_of([item(number, tmp_path / f"{vae_dtype}-{number}") for number in range(2)])
        recorder = Recorder(generate)
        engine.generate(generate, recorder)
        return facts.settings["vae_dtype"], recorder

    in_effect, recorder = made_with("auto")
    assert in_effect == "float16"
    assert [error.code for error in recorder.failures.values()] == ["black_image", "black_image"]
    in_effect, recorder = made_with("float32")
    assert in_effect == "float32"
    assert (list(recorder.images), recorder.failures) == (["job-0", "job-1"], {})


def test_a_batch_that_does_not_fit_into_memory_is_told_by_its_code_and_a_tiled_vae_needs_less(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.little_memory", str(model("sd")), str(tmp_path)]
    environment = {**os.environ, "KW_MEMORY_LIMIT_BYTES": str(100 * 1024 * 1024)}
    ended = subprocess.run(command, env=environment, cwd=PACKAGE_ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    tiled, lacking = (json.loads(line) for line in ended.stdout.splitlines()[-2:])
    assert tiled == [768, 768]
    assert "the host, while decoding a picture, ran out of memory" in lacking["message"]
    assert (lacking["code"], lacking["retryable"]) == ("out_of_memory", True)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_one_channel_that_overflowed_in_the_vae_is_black_and_not_white(
    model: Callable[[str], Path], value: float
) -> None:
    loaded = load_pipeline(load_of(model("sd")), lambda _level, _message: None)
    with torch.no_grad():
        loaded.pipe.vae.decoder.conv_out.bias[0] = value
    [black] = decode(loaded, torch.zeros(1, 4, 8, 8), PARAMS)
    assert isinstance(black, WorkerError)
    assert (black.code, "the decoded picture is not finite" in black.message) == ("black_image", True)


def test_half_latents_are_scaled_in_the_dtype_of_the_vae(model: Callable[[str], Path]) -> None:
    loaded = load_pipeline(load_of(model("sdxl")), lambda _level, _message: None)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)).half()
    [half], [whole] = decode(loaded, latents, PARAMS), decode(loaded, latents.float(), PARAMS)
    assert isinstance(half, torch.Tensor)
    assert isinstance(whole, torch.Tensor)
    assert torch.equal(half, whole)


def test_latents_with_a_mean_and_a_deviation_a_channel_are_brought_back_by_both(model: Callable[[str], Path]) -> None:
    loaded = load_pipeline(load_of(model("sd")), lambda _level, _message: None)
    vae = loaded.pipe.vae
    mean, deviation = [0.5, -0.5, 0.25, 0.0], [2.0, 1.0, 0.5, 3.0]
    vae.register_to_config(latents_mean=mean, latents_std=deviation)
    latents = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(1))
    channels = zip(latents, mean, deviation, strict=True)
    meant = torch.stack([row * std / 0.18215 + middle for row, middle, std in channels])
    with torch.no_grad():
        expected = (vae.decode(meant.unsqueeze(0)).sample[0] / 2 + 0.5).clamp(0, 1)
    [decoded] = decode(loaded, latents.unsqueeze(0), PARAMS)
    assert isinstance(decoded, torch.Tensor)
    assert torch.allclose(decoded, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("levels", "named"),
    [((0.0, 0.0, 0.0), "0, 0, 0"), ((0.5, 0.5, 0.5), "128, 128, 128"), ((1.0, 0.2, 0), "255, 51, 0")],
)
def test_a_picture_without_any_variance_is_black_whatever_its_colour(
    levels: tuple[float, float, float], named: str
) -> None:
    flat = torch.tensor(levels).view(3, 1, 1).expand(3, 8, 8).clone()
    with pytest.raises(WorkerError) as black:
        to_picture(flat)
    assert (black.value.code, black.value.message.endswith(f"rgb({named})")) == ("black_image", True)
    flat[2, 7, 7] += 0.01
    assert to_picture(flat).size == (8, 8)


def test_a_load_over_another_replaces_it_and_unload_frees_it(
    engine: DiffusersEngine, model: Callable[[str], Path], tmp_path: Path
) -> None:
    def parts() -> list[weakref.ref[torch.nn.Module]]:
        assert engine._loaded is not None
        generate = generate_of([item(0, tmp_path / "0.part")])
        engine.generate(generate, Recorder(generate))
        modules = engine._loaded.pipe.components.values()
        return [weakref.ref(part) for part in modules if isinstance(part, torch.nn.Module)]

    load(engine, model("sd"))
    first = parts()
    load(engine, model("sdxl"))
    second = parts()
    assert [part() for part in first] == [None] * 3
    engine.unload()
    assert [part() for part in second] == [None] * 4
    generate = generate_of([item(0)])
    with pytest.raises(WorkerError, match="no model is loaded"):
        engine.generate(generate, Recorder(generate))


def test_a_window_on_a_cpu_knows_memory_and_says_that_energy_is_unknown(engine: DiffusersEngine) -> None:
    usage = engine.window("cpu:1").close()
    assert usage.memory.peak_allocated_bytes is None
    assert 0 < usage.memory.rss_bytes <= usage.memory.peak_rss_bytes
    assert (usage.energy.millijoules, usage.energy.meter, usage.energy.method) == (None, "none", "unknown")


def test_a_device_that_is_not_there_is_said_so(engine: DiffusersEngine) -> None:
    with pytest.raises(WorkerError, match="does not see cuda:9"):
        engine.window("cuda:9")
    with pytest.raises(WorkerError, match="no device that torch knows"):
        engine.window("gpu")
