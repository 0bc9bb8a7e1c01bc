"""LoRA files of random numbers, made with peft as trainers make them, and what they add to a model's weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict

from kilnwatt_worker.diffusers_engine.lora_shelf import Place
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from tiny_models.pipelines import RECIPES, make

TARGETS: Mapping[str, Sequence[str]] = {
    "unet": ["to_q", "to_v", "to_out.0", "conv1", "proj_in"],
    "transformer": ["to_q", "add_k_proj", "proj_mlp", "proj_out"],
    "text_encoder": ["q_proj", "fc1"],
    "text_encoder_2": ["v_proj", "fc2"],
}


@dataclass(frozen=True)
class Lora:
    path: Path
    deltas: Mapping[Place, torch.Tensor]
    """What it adds to each weight."""


def lora_file(
    folder: Path,
    family: str,
    seed: int,
    *,
    rank: int = 4,
    alpha: int = 4,
    targets: Mapping[str, Sequence[str]] = TARGETS,
    old_names: bool = False,
    strength: float = 0.3,
) -> Lora:
    """`old_names`: as the training scripts of diffusers wrote them, which say no alpha."""
    pipe = make(RECIPES[family])
    parts = [part for part in pipe._lora_loadable_modules if targets.get(part)]
    saved: dict[str, object] = {}
    deltas: dict[Place, torch.Tensor] = {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for part in parts:
            config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets[part]), init_lora_weights=False)
            model = getattr(pipe, part)
            model.add_adapter(config, "made")
            deltas |= _deltas(part, model, strength)
            layers = get_peft_model_state_dict(model, adapter_name="made")
            saved[f"{part}_lora_layers"] = convert_state_dict_to_diffusers(layers) if old_names else layers
            if not old_names:
                saved[f"{part}_lora_adapter_metadata"] = config.to_dict()  # type: ignore[no-untyped-call]
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{family}-{seed}.safetensors"
    type(pipe).save_lora_weights(folder, weight_name=name, **saved)
    return Lora(folder / name, deltas)


def merge(pipe: Pipeline, loras: Sequence[tuple[Lora, float]]) -> None:
    """Into the weights of a model that carries no LoRA."""
    with torch.no_grad():
        for lora, weight in loras:
            for (part, name), delta in lora.deltas.items():
                getattr(pipe, part).get_submodule(name).weight.add_(delta * weight)


def _deltas(part: str, model: torch.nn.Module, strength: float) -> dict[Place, torch.Tensor]:
    """Made weak first: random matrices of full strength would leave nothing of the picture."""
    found: dict[Place, torch.Tensor] = {}
    with torch.no_grad():
        for name, module in model.named_modules():
            if hasattr(module, "get_delta_weight"):
                module.lora_B["made"].weight.mul_(strength)
                found[(part, name)] = module.get_delta_weight("made").clone()
    return found
