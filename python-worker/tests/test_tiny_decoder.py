"""A small autoencoder decodes previews in place of the model's own."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file, save_file

from kilnwatt_worker.diffusers_engine.decode import decode
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.messages import Load
from kilnwatt_worker.parts import Preset
from tests.samples import FLUX_PARAMS, PARAMS, Recorder, generate_of, item, load_of
from tiny_models.parts import tiny_vae

TINY = Preset("preview", dtype="float32", decoder="tiny")


def saved(folder: Path, channels: int = 4, safe: bool = True) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        tiny_vae(channels).save_pretrained(folder, safe_serialization=safe)
    return folder


def copied(model: Path, folder: Path) -> Path:
    return Path(shutil.copytree(model, folder / "model"))


def loaded_of(load: Load) -> LoadedPipeline:
    return load_pipeline(load, lambda _level, _message: None)


@pytest.mark.parametrize(("family", "channels", "sibling"), [("sd", 4, "taesd"), ("flux", 16, "taef1")])
def test_it_decodes_in_place_of_the_models_own_and_makes_pictures_of_their_size(
    model: Callable[[str], Path], tmp_path: Path, family: str, channels: int, sibling: str
) -> None:
    folder = copied(model(family), tmp_path)
    saved(tmp_path / sibling, channels)
    engine = DiffusersEngine()
    facts = engine.load(load_of(folder, TINY), lambda _level, _message: None)
    assert facts.settings["decoder"] == "tiny"
    assert facts.weights["vae"] < 100_000
    generate = generate_of([item(0, tmp_path / "0")], FLUX_PARAMS if family == "flux" else PARAMS)
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    assert recorder.failures == {}
    with Image.open(tmp_path / "0") as picture:
        assert picture.size == (64, 64)


def test_it_is_taken_to_the_dtype_that_is_asked_of_the_vae(model: Callable[[str], Path], tmp_path: Path) -> None:
    """In half precision a VAE in float32 was read again from the model's own, which is of another kind."""
    folder = copied(model("sd"), tmp_path)
    saved(folder / "tiny_vae")
    preset = replace(TINY, dtype="float16", vae_dtype="float32")
    settings = loaded_of(load_of(folder, preset)).settings
    assert (settings["decoder"], settings["dtype"], settings["vae_dtype"]) == ("tiny", "float16", "float32")


def test_its_latents_are_not_scaled_as_those_of_the_models_own_are(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(model("sd"), tmp_path)
    saved(folder / "tiny_vae")
    loaded = loaded_of(load_of(folder, TINY))
    latents = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(1))
    tiny = AutoencoderTiny.from_pretrained(folder / "tiny_vae")
    with torch.no_grad():
        expected = (tiny.decode(latents[None]).sample[0] / 2 + 0.5).clamp(0, 1)
    [decoded] = decode(loaded, latents[None], PARAMS)
    assert isinstance(decoded, torch.Tensor)
    assert torch.allclose(decoded, expected, atol=1e-5)
    assert float(expected.std()) > 0.01


def test_the_folder_inside_the_model_comes_before_the_named_one_and_that_before_the_sibling(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(model("sd"), tmp_path)
    saved(tmp_path / "taesd")
    assert Path(loaded_of(load_of(folder, TINY)).pipe.vae.config._name_or_path) == tmp_path / "taesd"
    monkeypatch.setenv("KILNWATT_TINY_VAE", str(saved(tmp_path / "named")))
    assert Path(loaded_of(load_of(folder, TINY)).pipe.vae.config._name_or_path) == tmp_path / "named"
    saved(folder / "tiny_vae")
    assert Path(loaded_of(load_of(folder, TINY)).pipe.vae.config._name_or_path) == folder / "tiny_vae"


def test_a_missing_one_is_told_with_the_places_where_it_can_be(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(model("sdxl"), tmp_path)
    with pytest.raises(WorkerError) as missing:
        loaded_of(load_of(folder, TINY))
    assert missing.value.code == "preset_impossible"
    for place in (str(folder / "tiny_vae"), str(tmp_path / "taesdxl"), "KILNWATT_TINY_VAE"):
        assert place in missing.value.message
    monkeypatch.setenv("KILNWATT_TINY_VAE", str(tmp_path / "nowhere"))
    with pytest.raises(WorkerError, match=r"names .*nowhere, where there is none"):
        loaded_of(load_of(folder, TINY))


def test_tiles_of_it_are_refused_by_name(model: Callable[[str], Path]) -> None:
    with pytest.raises(WorkerError, match="decoder=tiny with vae_tiling cannot be") as refused:
        loaded_of(load_of(model("sd"), replace(TINY, vae_tiling=True)))
    assert refused.value.code == "preset_impossible"


@pytest.mark.parametrize(
    ("channels", "safe", "sentence"),
    [(16, True, "does not fit this model, whose latents have 4 channels"), (4, False, "cannot be loaded")],
    ids=["for another model", "as a pickle"],
)
def test_one_that_cannot_be_used_is_refused(
    model: Callable[[str], Path], tmp_path: Path, channels: int, safe: bool, sentence: str
) -> None:
    folder = copied(model("sd"), tmp_path)
    saved(folder / "tiny_vae", channels, safe)
    with pytest.raises(WorkerError, match=sentence) as refused:
        loaded_of(load_of(folder, TINY))
    assert refused.value.code == "preset_impossible"


def test_one_that_lacks_a_tensor_is_refused_with_its_name(model: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied(model("sd"), tmp_path)
    weights = saved(folder / "tiny_vae") / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    del tensors["decoder.layers.0.weight"]
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(WorkerError, match=r"lacks the tensor decoder\.layers\.0\.weight"):
        loaded_of(load_of(folder, TINY))
