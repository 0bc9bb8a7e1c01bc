"""
Weights in fewer bits, of the denoiser and of the largest text encoder.

Linear layers are changed one after the other on the device, which is many times faster at it and never holds more
than one of them in full. Those outside of the repeated blocks (embeddings, the last projection) stay as they are: they
are small, and pictures suffer most from them. A layer whose size the format cannot take stays too, and is counted.
"""

from collections.abc import Callable, Mapping

import torch

from kilnwatt_worker.diffusers_engine.linear_layers import format_of, linear_layers, numbers_of
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Settings

NF4_BLOCK = 64


def apply(target: Target) -> None:
    """Raises WorkerError `preset_impossible`."""
    preset, pipe = target.preset, target.pipe
    if preset.quantize != "none":
        _quantise(target, "quantize", denoiser_of(pipe), preset.quantize)
    if preset.quantize_text != "none":
        encoder = _largest_text_encoder(pipe)
        if encoder is None:
            raise _impossible("quantize_text", preset.quantize_text, "this model has no text encoder")
        _quantise(target, "quantize_text", encoder, preset.quantize_text)


def in_effect(pipe: Pipeline) -> Settings:
    """Beside the formats, how many of the linear layers of the repeated blocks are in them, as `12 of 14`."""
    return {
        **_found("quantize", "quantized_layers", denoiser_of(pipe)),
        **_found("quantize_text", "quantized_text_layers", _largest_text_encoder(pipe)),
    }


def _found(setting: str, count: str, model: Pipeline | None) -> Settings:
    formats = [] if model is None else [format_of(layer) for layer in linear_layers(model).values()]
    changed = [name for name in formats if name != "none"]
    if not changed:
        return {setting: "none"}
    return {setting: "+".join(sorted({*changed})), count: f"{len(changed)} of {len(formats)}"}


def _largest_text_encoder(pipe: Pipeline) -> Pipeline | None:
    encoders = [part for name, part in pipe.components.items() if name.startswith("text_encoder") and part is not None]
    return max(encoders, key=numbers_of, default=None)


def _quantise(target: Target, setting: str, model: Pipeline, value: str) -> None:
    if value == "fp8_storage":
        model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=model.dtype)
        return
    all_of_them = linear_layers(model)
    names = [name for name, layer in all_of_them.items() if _TAKES[value](name, layer)]
    if not names:
        raise _impossible(setting, value, f"none of the {len(all_of_them)} linear layers has a size that it takes")
    del all_of_them  # or what a layer was would stay in memory beside what it becomes
    if value == "nf4":
        _to_nf4(model, names, target.device)
    else:
        _by_torchao(model, names, value, target.device)


def _any(_name: str, _layer: torch.nn.Linear) -> bool:
    return True


def _many_rows(name: str, layer: torch.nn.Linear) -> bool:
    """A card multiplies in int8 sizes that 8 divides and more than 16 rows; these have one row a picture."""
    few = "time_emb_proj" in name or "norm" in name
    return not few and layer.in_features % 8 == 0 and layer.out_features % 8 == 0


def _by_sixteen(_name: str, layer: torch.nn.Linear) -> bool:
    return layer.in_features % 16 == 0 and layer.out_features % 16 == 0


def _whole_blocks(_name: str, layer: torch.nn.Linear) -> bool:
    return layer.in_features % NF4_BLOCK == 0


_TAKES: Mapping[str, Callable[[str, torch.nn.Linear], bool]] = {
    "int8_weights": _any,
    "int8_dynamic": _many_rows,
    "fp8_dynamic": _by_sixteen,
    "nf4": _whole_blocks,
}


def _by_torchao(model: Pipeline, names: list[str], value: str, device: torch.device) -> None:
    """Inductor's settings are left as they are: they are of the whole process, and compiling decides them."""
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        Int8DynamicActivationInt8WeightConfig,
        Int8WeightOnlyConfig,
        PerRow,
        PerTensor,
        quantize_,
    )
    from torchao.utils import should_reduce_range

    if value == "int8_weights":
        config = Int8WeightOnlyConfig(set_inductor_config=False)
    elif value == "int8_dynamic":
        config = Int8DynamicActivationInt8WeightConfig(
            reduce_range=should_reduce_range(device), set_inductor_config=False
        )
    else:
        # A scale a row is more exact; its kernel gives bfloat16 only.
        granularity = PerRow() if model.dtype == torch.bfloat16 else PerTensor()
        config = Float8DynamicActivationFloat8WeightConfig(granularity=granularity, set_inductor_config=False)
    wanted = {*names}
    quantize_(model, config, filter_fn=lambda _layer, name: name in wanted, device=device)


def _to_nf4(model: Pipeline, names: list[str], device: torch.device) -> None:
    from bitsandbytes.nn import Linear4bit, Params4bit

    for name in names:
        layer = model.get_submodule(name)
        dtype = layer.weight.dtype
        # T5 casts activations to the dtype of its weights, so that is also what the bits are packed in.
        packed = {"quant_type": "nf4", "quant_storage": dtype}
        new = Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=dtype,
            device="meta",
            **packed,
        )
        new.weight = Params4bit(layer.weight.data, requires_grad=False, module=new, **packed)
        new.bias = layer.bias
        # On some processors it would choose another format, of another exactness, at the first call.
        new.support_avx512bf16_for_cpu = False
        new.eval()
        model.set_submodule(name, new)
        del layer
        new.to(device)  # this is where it is quantised


def _impossible(setting: str, value: str, reason: str) -> WorkerError:
    return WorkerError("preset_impossible", f"{setting}={value} cannot be here: {reason}; use another preset")
