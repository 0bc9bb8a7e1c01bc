"""Data types and the card's switches, read back from tensors and from torch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kilnwatt_worker.diffusers_engine import precision
from kilnwatt_worker.errors import WorkerError
from tests.techniques import engine_with, loaded_with, only_downgrade, params_of, pictures_of, target_of

HALF = torch.float16


def dtypes_of(part: torch.nn.Module) -> set[torch.dtype]:
    return {tensor.dtype for tensor in part.parameters()}


@pytest.mark.parametrize(
    ("dtype", "vae_dtype", "in_effect"),
    [
        ("float32", "auto", torch.float32),
        ("float32", "float16", torch.float16),
        ("bfloat16", "auto", torch.bfloat16),
        ("bfloat16", "float32", torch.float32),
        ("float16", "bfloat16", torch.bfloat16),
    ],
)
def test_the_vae_has_the_dtype_that_was_asked_and_makes_a_picture(
    model: Callable[[str], Path], tmp_path: Path, dtype: str, vae_dtype: str, in_effect: torch.dtype
) -> None:
    engine, facts = engine_with(model("sd"), dtype=dtype, vae_dtype=vae_dtype)
    assert engine._loaded is not None
    pipe = engine._loaded.pipe
    assert (dtypes_of(pipe.unet), dtypes_of(pipe.vae)) == ({precision.DTYPES[dtype]}, {in_effect})
    assert facts.settings["vae_dtype"] == str(in_effect).removeprefix("torch.")
    assert facts.downgrades == ()
    assert len(pictures_of(engine, tmp_path, params_of("sd", steps=1), ["a red circle"])) == 1


def test_a_vae_that_is_taken_out_of_half_precision_has_the_weights_of_its_file_again(
    model: Callable[[str], Path],
) -> None:
    """They were rounded to bfloat16 on the way, and stayed so."""
    loaded = loaded_with(model("flux"), dtype="bfloat16", vae_dtype="float32")
    kept = load_file(model("flux") / "vae" / "diffusion_pytorch_model.safetensors")
    for name, weight in loaded.pipe.vae.state_dict().items():
        assert torch.equal(weight, kept[name]), name


def test_a_vae_whose_config_says_that_it_is_safe_stays_in_half_precision(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    safe = Path(shutil.copytree(model("sdxl"), tmp_path / "safe"))
    config = safe / "vae" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "force_upcast": False}))
    assert dtypes_of(loaded_with(safe, dtype="float16").pipe.vae) == {HALF}
    assert dtypes_of(loaded_with(model("sdxl"), dtype="float16").pipe.vae) == {torch.float32}


def test_a_vae_that_lost_its_weights_since_it_was_loaded_is_refused_by_name(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    """diffusers makes one without memory of it, which failed later with `Cannot copy out of meta tensor`."""
    folder = Path(shutil.copytree(model("sd"), tmp_path / "model"))
    loaded = loaded_with(folder, dtype="float16")
    save_file({}, folder / "vae" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(WorkerError, match=r"its part vae lacks the tensor \S+; fetch it again"):
        precision.apply(target_of(loaded, folder, vae_dtype="float32"))


@pytest.mark.parametrize("setting", ["tf32", "fp16_accumulation"])
def test_what_only_a_card_can_do_is_a_named_downgrade_on_a_cpu(model: Callable[[str], Path], setting: str) -> None:
    _, facts = engine_with(model("sd"), dtype="auto", **{setting: True})
    assert only_downgrade(facts) == (setting, "True", "False")
    assert facts.settings[setting] is False


def test_the_switches_of_one_preset_are_off_for_the_next(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They belong to the process. A card is not needed to set them, only to ask how old it is."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (8, 9))
    loaded = loaded_with(model("sd"), dtype="float16")
    precision.apply(target_of(loaded, model("sd"), "cuda:0", dtype="float16", tf32=True, fp16_accumulation=True))
    held = precision.in_effect(loaded.pipe)
    assert (held["tf32"], held["fp16_accumulation"]) == (True, True)
    after = loaded_with(model("sd")).settings
    assert (after["tf32"], after["fp16_accumulation"]) == (False, False)
    assert torch.backends.cudnn.allow_tf32, "torch's own default"


def test_a_card_that_is_too_old_or_a_denoiser_that_is_not_float16_is_a_named_downgrade(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 5))
    target = target_of(loaded_with(model("sd")), model("sd"), "cuda:0", tf32=True, fp16_accumulation=True)
    precision.apply(target)
    assert [(one.setting, one.reason) for one in target.downgrades] == [
        ("tf32", "the card's compute capability is 7.5"),
        ("fp16_accumulation", "the denoiser is float32 and not float16"),
    ]
    held = precision.in_effect(target.pipe)
    assert (held["tf32"], held["fp16_accumulation"]) == (False, False)
