"""LoRA files of random numbers, for any model of diffusers' layout, made from its configs alone."""

import json
import math
from pathlib import Path

import diffusers
import torch
from safetensors.torch import save_file

TARGETS = (".to_q", ".to_v")
STRENGTH = 0.2
"""What it adds to an output, in terms of the input."""


def write_lora(model: Path, file: Path, seed: int, rank: int = 8) -> Path:
    """One that changes queries and values of the denoiser's attention, enough to be seen. `model` is its folder."""
    part = "unet" if (model / "unet").is_dir() else "transformer"
    config = json.loads((model / part / "config.json").read_text(encoding="utf-8"))
    with torch.device("meta"):
        denoiser = getattr(diffusers, config["_class_name"]).from_config(config)
    random = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for name, module in denoiser.named_modules():
        if name.endswith(TARGETS) and isinstance(module, torch.nn.Linear):
            down = torch.randn(rank, module.in_features, generator=random) / math.sqrt(module.in_features)
            up = torch.randn(module.out_features, rank, generator=random) / math.sqrt(rank)
            tensors[f"{part}.{name}.lora_A.weight"] = down
            tensors[f"{part}.{name}.lora_B.weight"] = up * STRENGTH
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    return file
