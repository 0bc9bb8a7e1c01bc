import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.diffusers_engine.pipeline_class import pipeline_class_of
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.model_folder import ModelFolder, judge
from tests.samples import load_of


@pytest.fixture
def copy(model: Callable[[str], Path], tmp_path: Path) -> Path:
    """A model that a test may spoil."""
    return Path(shutil.copytree(model("sd"), tmp_path / "copy"))


def refusal(path: Path) -> WorkerError:
    with pytest.raises(WorkerError) as refused:
        load_pipeline(load_of(path), lambda _level, _message: None)
    return refused.value


def change_index(folder: Path, **changes: object) -> None:
    file = folder / "model_index.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def rename_tensor(weights: Path, name: str) -> None:
    """As in a file that another program has written."""
    tensors = load_file(weights)
    tensors[f"foreign.{name}"] = tensors.pop(name)
    save_file(tensors, weights, {"format": "pt"})


def test_a_whole_folder_is_taken_as_it_is(model: Callable[[str], Path]) -> None:
    folder = judge(str(model("sdxl")))
    assert folder.pipeline_class == "StableDiffusionXLPipeline"
    assert folder.variant is None


def test_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    refused = refusal(tmp_path / "nowhere")
    assert refused.code == "model_missing"
    assert "nowhere does not exist" in refused.message


def test_pickle_weights_alone_are_refused_without_being_read(copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.with_suffix(".bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
    weights.unlink()
    refused = refusal(copy)
    assert refused.code == "model_unsafe"
    assert str(copy / "unet") in refused.message


def test_a_lone_checkpoint_is_refused_as_unsafe(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"pickle")
    assert refusal(tmp_path).code == "model_unsafe"


def test_pickles_beside_safetensors_do_no_harm(copy: Path) -> None:
    (copy / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"not even a pickle")
    assert load_pipeline(load_of(copy), lambda _level, _message: None).family == "sd"


def test_weights_under_the_name_of_the_half_precision_variant_are_found(copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert judge(str(copy)).variant == "fp16"
    assert load_pipeline(load_of(copy), lambda _level, _message: None).settings["dtype"] == "float32"


def test_a_safety_checker_in_the_folder_is_neither_needed_nor_loaded(copy: Path) -> None:
    change_index(copy, safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    assert load_pipeline(load_of(copy), lambda _level, _message: None).pipe.safety_checker is None


def test_a_feature_extractor_that_the_index_names_is_not_needed_either(copy: Path) -> None:
    change_index(copy, feature_extractor=["transformers", "CLIPImageProcessor"])
    assert load_pipeline(load_of(copy), lambda _level, _message: None).pipe.feature_extractor is None


@pytest.mark.parametrize("lost", ["unet/diffusion_pytorch_model.safetensors", "vae", "model_index.json", "tokenizer"])
def test_a_folder_that_lacks_a_part_is_broken_and_the_part_is_named(copy: Path, lost: str) -> None:
    part = copy / lost
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    refused = refusal(copy)
    assert refused.code == "model_broken"
    assert lost.split("/", maxsplit=1)[0] in refused.message


def test_weights_that_were_cut_off_are_broken(copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    refused = refusal(copy)
    assert refused.code == "model_broken"
    assert str(copy) in refused.message


@pytest.mark.parametrize("part", ["text_encoder", "text_encoder_2"])
def test_a_text_encoder_that_lacks_a_tensor_is_broken_and_not_filled_up_with_random_numbers(
    model: Callable[[str], Path], tmp_path: Path, part: str
) -> None:
    """The pictures had nothing to do with their prompts, and nobody was told why."""
    copy = Path(shutil.copytree(model("sdxl"), tmp_path / "copy"))
    prefix = "" if part == "text_encoder" else "text_model."
    tensor = f"{prefix}encoder.layers.0.mlp.fc1.weight"
    rename_tensor(copy / part / "model.safetensors", tensor)
    refused = refusal(copy)
    assert refused.code == "model_broken"
    assert f"its part {part} lacks the tensor {tensor}" in refused.message


@pytest.mark.parametrize(("part", "tensor"), [("unet", "conv_in.weight"), ("vae", "decoder.conv_in.weight")])
def test_a_network_that_lacks_a_tensor_is_broken_before_it_goes_to_its_device(
    copy: Path, part: str, tensor: str
) -> None:
    rename_tensor(copy / part / "diffusion_pytorch_model.safetensors", tensor)
    refused = refusal(copy)
    assert refused.code == "model_broken"
    assert f"its part {part} lacks the tensor {tensor}" in refused.message


def test_an_index_that_is_not_json_is_broken(copy: Path) -> None:
    (copy / "model_index.json").write_text("{")
    assert refusal(copy).code == "model_broken"


@pytest.mark.parametrize("name", ["PaintByHandPipeline", "StableDiffusionImg2ImgPipeline"])
def test_a_pipeline_that_is_not_for_text_to_image_is_unsupported(copy: Path, name: str) -> None:
    change_index(copy, _class_name=name)
    refused = refusal(copy)
    assert refused.code == "model_unsupported"
    assert name in refused.message


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("StableDiffusionInpaintPipeline", "its call wants image"),
        ("StableDiffusionControlNetPipeline", "its call wants image"),
        ("FluxControlPipeline", "its call wants control_image"),
        ("StableDiffusionAttendAndExcitePipeline", "its call wants token_indices"),
    ],
)
def test_a_pipeline_that_wants_more_than_a_prompt_is_unsupported_before_it_is_loaded(
    tmp_path: Path, name: str, wanted: str
) -> None:
    """An inpainting model was loaded, and then each of its batches failed."""
    with pytest.raises(WorkerError, match=wanted) as refused:
        pipeline_class_of(ModelFolder(tmp_path, name, {}, None))
    assert refused.value.code == "model_unsupported"


def test_a_pipeline_that_needs_a_package_which_is_not_installed_names_the_package(copy: Path) -> None:
    change_index(copy, _class_name="KolorsPipeline")
    refused = refusal(copy)
    assert refused.code == "model_unsupported"
    assert "needs sentencepiece, which is not installed" in refused.message


def test_a_family_that_the_folder_contradicts_is_logged(model: Callable[[str], Path]) -> None:
    logs: list[str] = []
    loaded = load_pipeline(load_of(model("sd"), family="flux"), lambda _level, message: logs.append(message))
    assert loaded.family == "sd"
    assert "was taken for flux but is sd" in logs[0]
