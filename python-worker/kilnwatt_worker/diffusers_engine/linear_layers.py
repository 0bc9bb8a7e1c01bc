"""The linear layers of a network's repeated blocks, and in which format each of them is."""

import torch

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline


def linear_layers(model: Pipeline) -> dict[str, torch.nn.Linear]:
    """
    By name, as they come; without those of LoRAs and those outside of lists of blocks, whose names have no number.
    """
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and "lora_" not in name
        and any(part.isdigit() for part in name.split("."))
    }


def format_of(layer: torch.nn.Linear) -> str:
    """The preset's word for it, told by the classes of the layer and of its weight; `none` for plain numbers."""
    weight: Pipeline = layer.weight
    if type(layer).__name__ == "Linear4bit":
        return str(weight.quant_type) if weight.quant_state is not None else "none"
    dynamic = getattr(weight, "act_quant_kwargs", None) is not None
    if type(weight).__name__ == "Int8Tensor":
        return "int8_dynamic" if dynamic else "int8_weights"
    if type(weight).__name__ == "Float8Tensor":
        return "fp8_dynamic" if dynamic else "fp8_weights"
    return "fp8_storage" if weight.dtype == torch.float8_e4m3fn and _is_cast_for_each_call(layer) else "none"


def numbers_of(model: Pipeline) -> int:
    """How many numbers its weights are, whatever they are packed in."""
    return sum(
        module.in_features * module.out_features
        if isinstance(module, torch.nn.Linear)
        else sum(weight.numel() for weight in module.parameters(recurse=False))
        for module in model.modules()
    )


def _is_cast_for_each_call(layer: Pipeline) -> bool:
    registry = getattr(layer, "_diffusers_hook", None)
    return registry is not None and registry.get_hook("layerwise_casting") is not None
