"""Quantised layers of the real classes: read from them, smaller, and their pictures are still alike."""

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.diffusers_engine.optimise import settings_in_effect
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline, denoiser_of, weights_of
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Dtype, Quantize, QuantizeText
from tests.samples import FLUX_PARAMS, PARAMS, PRESET, item, load_of
from tests.test_same_picture import through_the_seam
from tiny_models import parts
from tiny_models.pipelines import RECIPES, make


def loaded_with(
    path: Path, quantize: Quantize = "none", quantize_text: QuantizeText = "none", dtype: Dtype = "float32"
) -> LoadedPipeline:
    preset = replace(PRESET, quantize=quantize, quantize_text=quantize_text, dtype=dtype)
    return load_pipeline(load_of(path, preset), lambda _level, _message: None)


def decibels(one: LoadedPipeline, other: LoadedPipeline) -> float:
    """Of a picture made by both."""
    params = FLUX_PARAMS if one.family == "flux" else PARAMS
    (first,), (second,) = (through_the_seam(loaded, [item(0)], params) for loaded in (one, other))
    assert torch.isfinite(first.floats).all()
    return float(-10 * torch.log10(((first.floats - second.floats) ** 2).mean()))


FORMATS: list[tuple[Quantize, str, dict[str, str], float]] = [
    ("int8_weights", "Int8Tensor", {"sd": "48 of 48", "sdxl": "96 of 96", "flux": "20 of 20"}, 45),
    ("int8_dynamic", "Int8Tensor", {"sd": "40 of 48", "sdxl": "88 of 96", "flux": "17 of 20"}, 40),
    ("nf4", "Params4bit", {"sd": "12 of 48", "sdxl": "32 of 96", "flux": "2 of 20"}, 30),
    ("fp8_storage", "Parameter", {"sd": "48 of 48", "sdxl": "96 of 96", "flux": "17 of 20"}, 25),
]
"""With the class that weights are of, the layers of tiny models whose size the format takes, and what is left in dB."""


@pytest.mark.parametrize("family", ["sd", "sdxl", "flux"])
@pytest.mark.parametrize(("value", "weight", "layers", "least"), FORMATS, ids=[name for name, *_ in FORMATS])
def test_a_denoiser_is_quantised_where_its_layers_allow_it(
    value: Quantize, weight: str, layers: dict[str, str], least: float, family: str, model: Callable[[str], Path]
) -> None:
    path = model(family)
    plain, quantised = loaded_with(path), loaded_with(path, quantize=value)
    assert plain.settings["quantize"] == "none"
    assert "quantized_layers" not in plain.settings
    assert quantised.settings["quantize"] == value
    assert quantised.settings["quantized_layers"] == layers[family]
    assert quantised.settings["quantize_text"] == "none"

    kinds = [type(layer.weight).__name__ for layer in linear_modules(denoiser_of(quantised.pipe))]
    if value != "fp8_storage":
        assert f"{kinds.count(weight)} of" in layers[family]
    assert denoiser_bytes(quantised) < denoiser_bytes(plain)
    others = [name for name in weights_of(plain.pipe) if name not in ("unet", "transformer")]
    assert [weights_of(quantised.pipe)[name] - weights_of(plain.pipe)[name] for name in others] == [0] * len(others)
    assert least < decibels(quantised, plain) < 90


def linear_modules(model: Pipeline) -> list[torch.nn.Linear]:
    return [module for module in model.modules() if isinstance(module, torch.nn.Linear)]


def denoiser_bytes(loaded: LoadedPipeline) -> int:
    weights = weights_of(loaded.pipe)
    return weights.get("unet") or weights["transformer"]


@pytest.mark.parametrize(("value", "least"), [("int8_weights", 45), ("nf4", 30)])
def test_the_largest_text_encoder_is_quantised_and_no_other(
    value: QuantizeText, least: float, model: Callable[[str], Path]
) -> None:
    path = model("sdxl")
    plain, quantised = loaded_with(path), loaded_with(path, quantize_text=value)
    assert (quantised.settings["quantize"], quantised.settings["quantize_text"]) == ("none", value)
    before, after = weights_of(plain.pipe), weights_of(quantised.pipe)
    assert after["text_encoder_2"] < before["text_encoder_2"] > before["text_encoder"]
    assert {**after, "text_encoder_2": 0} == {**before, "text_encoder_2": 0}
    assert decibels(quantised, plain) > least


def test_the_t5_of_flux_is_quantised_and_takes_no_activation_for_bits(tmp_path: Path) -> None:
    """T5 casts activations to the dtype of its last weight, which in four bits is no dtype of activations."""
    made = make(RECIPES["flux"])
    config = {**made.text_encoder_2.config.to_dict(), "d_ff": 1024, "num_layers": 4}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made.register_modules(text_encoder_2=type(made.text_encoder_2)(made.text_encoder_2.config_class(**config)))
    made.save_pretrained(tmp_path)
    plain, quantised = loaded_with(tmp_path), loaded_with(tmp_path, quantize="nf4", quantize_text="nf4")
    assert quantised.settings["quantized_text_layers"] == "4 of 28"
    assert weights_of(quantised.pipe)["text_encoder_2"] < 0.9 * weights_of(plain.pipe)["text_encoder_2"]
    assert decibels(quantised, plain) > 25


@pytest.mark.parametrize(("value", "bits"), [("int8_weights", 8), ("nf4", 4)])
def test_what_a_quantised_layer_takes_is_told_with_its_scales(
    value: Quantize, bits: int, model: Callable[[str], Path]
) -> None:
    """Torch's own figures are those of the numbers that it stands for, or leave the scales out. A file has them all."""
    path = model("sd")
    change = denoiser_bytes(loaded_with(path)) - denoiser_bytes(loaded_with(path, quantize=value))
    files = [written(denoiser_of(one.pipe)) for one in (loaded_with(path), loaded_with(path, quantize=value))]
    layers = linear_modules(denoiser_of(loaded_with(path, quantize=value).pipe))
    quantised = [one for one in layers if type(one.weight).__name__ in ("Int8Tensor", "Params4bit")]
    ideal = sum(one.in_features * one.out_features for one in quantised) * (32 - bits) // 8
    assert 0.85 * ideal < change < ideal
    assert change > files[0] - files[1] > 0


def written(model: Pipeline) -> int:
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.getbuffer().nbytes


@pytest.mark.parametrize(("value", "most"), [("int8_weights", 1e-3), ("nf4", 1e-3), ("int8_dynamic", 0.05)])
def test_a_batch_equals_its_single_runs(value: Quantize, most: float, model: Callable[[str], Path]) -> None:
    """Where activations are rounded too, their last digit decides to which step, and so the pictures show it."""
    loaded = loaded_with(model("sd"), quantize=value)
    items = [item(0), item(1, negative="blurry"), item(2)]
    batch = through_the_seam(loaded, items, PARAMS)
    for one, together in zip(items, batch, strict=True):
        (alone,) = through_the_seam(loaded, [one], PARAMS)
        assert float((alone.floats - together.floats).abs().max()) < most


@pytest.mark.parametrize("value", ["int8_weights", "nf4"])
def test_a_quantised_block_can_be_compiled_as_one_graph(value: Quantize, model: Callable[[str], Path]) -> None:
    """Traced in whole, and not turned into machine code, which takes a minute and shows no more."""
    loaded, params = loaded_with(model("sd"), quantize=value), replace(PARAMS, steps=1)
    (eager,) = through_the_seam(loaded, [item(0)], params)
    torch._dynamo.reset()
    loaded.pipe.unet.mid_block.attentions[0].transformer_blocks[0].compile(backend="eager", fullgraph=True)
    (traced,) = through_the_seam(loaded, [item(0)], params)
    assert float((eager.floats - traced.floats).abs().max()) < 1e-3
    assert loaded.settings["quantize"] == settings_in_effect(loaded.pipe)["quantize"] == value


def test_float8_products_are_refused_where_no_card_makes_them(model: Callable[[str], Path]) -> None:
    error = refused(model("sd"), quantize="fp8_dynamic")
    assert error.code == "preset_impossible"
    assert "quantize=fp8_dynamic cannot hold on the CPU" in error.message


def test_a_format_that_no_layer_can_take_is_refused(tmp_path: Path) -> None:
    made = make(RECIPES["sd"])
    made.register_modules(text_encoder=parts.clip(made.tokenizer, 16))
    made.save_pretrained(tmp_path)
    error = refused(tmp_path, quantize_text="nf4")
    assert error.code == "preset_impossible"
    assert "none of the 18 linear layers has a size that it takes" in error.message


def test_the_package_that_a_format_needs_is_named(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    error = refused(model("sd"), quantize="nf4")
    assert error.code == "preset_package_missing"
    assert "quantize=nf4 needs the package bitsandbytes" in error.message
    assert "./scripts/setup --with bitsandbytes" in error.message


def refused(path: Path, quantize: Quantize = "none", quantize_text: QuantizeText = "none") -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        loaded_with(path, quantize, quantize_text)
    return caught.value


def test_the_dtype_of_a_quantised_model_is_still_the_one_that_it_computes_in(model: Callable[[str], Path]) -> None:
    values: tuple[Quantize, ...] = ("int8_weights", "nf4", "fp8_storage")
    for value in values:
        loaded = loaded_with(model("flux"), value, dtype="bfloat16")
        assert (loaded.settings["dtype"], loaded.settings["quantize"]) == ("bfloat16", value)
        assert torch.isfinite(through_the_seam(loaded, [item(0)], FLUX_PARAMS)[0].floats).all()
