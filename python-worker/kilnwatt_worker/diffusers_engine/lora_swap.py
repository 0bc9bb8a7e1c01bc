"""
LoRAs that change without anything being compiled anew.

Layers are made with room for one LoRA of a given rank before the denoiser is compiled. What a batch uses is put into
it as one LoRA: laid side by side, those of a batch need the sum of their ranks, and what is left stays zero. So shapes
and scales are always the same, and compiled code sees other numbers only. Text encoders have no such room.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from diffusers.hooks.group_offloading import _maybe_remove_and_reapply_group_offloading

from kilnwatt_worker.diffusers_engine import compiled
from kilnwatt_worker.diffusers_engine.lora_file import Layer, LoraFile, layer_at
from kilnwatt_worker.diffusers_engine.lora_shelf import Place
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline, denoiser_of
from kilnwatt_worker.engine import LogTo
from kilnwatt_worker.errors import BadRequest

_ADAPTER = "kilnroom"


def enable(pipe: Pipeline, rank: int) -> None:
    """Before any LoRA is loaded. What compiles lazily may be told so before or after."""
    pipe.enable_lora_hotswap(target_rank=rank, check_compiled="ignore")


def rank_of(pipe: Pipeline) -> int:
    """Of the room, read from the denoiser; 0 where there is none."""
    denoiser = denoiser_of(pipe)
    promised = getattr(denoiser, "_prepare_lora_hotswap_kwargs", None)
    if promised is not None:
        return int(promised["target_rank"])
    for module in denoiser.modules():
        scaling = getattr(module, "scaling", None)
        if isinstance(scaling, dict) and isinstance(scaling.get(_ADAPTER), torch.Tensor):
            return int(module.lora_A[_ADAPTER].weight.shape[0])
    return 0


def use(loaded: LoadedPipeline, files: Sequence[tuple[LoraFile, float]], log: LogTo) -> None:
    """
    The sum of these is in the room afterwards; it is emptied where there are none. Layers that the LoRAs before did not
    touch get room too, and that time code is compiled anew. Raises BadRequest for LoRAs that do not fit.
    """
    shelf, pipe = loaded.loras, loaded.pipe
    if not files:
        clear(loaded)
        return
    rank = rank_of(pipe)
    _refuse_text(pipe, files, rank)
    summed = _summed(files)
    _refuse_rank(files, max(layer.rank for layer in summed.values()), rank)
    if summed.keys() <= shelf.room:
        _fill(loaded, summed, rank)
        return
    if shelf.room:
        log("info", f"{files[-1][0].path} changes layers that no LoRA changed before; what was compiled is made anew")
        _empty(pipe, rank)
    compiled.start_over(pipe)
    room, shelf.room = shelf.room | summed.keys(), frozenset()
    try:
        _make(pipe, summed, room, rank)
    except Exception:
        _empty(pipe, rank)
        raise
    shelf.room = room


def clear(loaded: LoadedPipeline) -> None:
    """Zeros add nothing, so that pictures are those of the base to the last bit."""
    if loaded.loras.room:
        _fill(loaded, {}, rank_of(loaded.pipe))


def keep_precision(
    pipe: Pipeline, adapter: str, tensors: Mapping[str, torch.Tensor], places: Collection[Place]
) -> None:
    """
    Layers that are stored in eight bits round their LoRA to them too, though nothing can be computed so. Where blocks
    are streamed, the copies that come back at each step are made anew.
    """
    changed = set()
    for place in places:
        carrier = layer_at(pipe, place)
        for kind, matrices in (("lora_A", carrier.lora_A), ("lora_B", carrier.lora_B)):
            exact, held = tensors[f"{'.'.join(place)}.{kind}.weight"], matrices[adapter]
            if held.weight.dtype != exact.dtype:
                held.to(exact.dtype)
                held.weight.data.copy_(exact)
                changed.add(place[0])
    for part in sorted(changed):
        _maybe_remove_and_reapply_group_offloading(getattr(pipe, part))


def _fill(loaded: LoadedPipeline, summed: Mapping[Place, Layer], rank: int) -> None:
    """By diffusers' own way, which knows where the weights are while they are offloaded."""
    tensors = _tensors(loaded.pipe, summed, loaded.loras.room, rank)
    loaded.pipe.load_lora_weights(tensors, adapter_name=_ADAPTER, hotswap=True)


def _make(pipe: Pipeline, summed: Mapping[Place, Layer], room: frozenset[Place], rank: int) -> None:
    tensors = _tensors(pipe, summed, room, rank)
    pipe.load_lora_weights(tensors, adapter_name=_ADAPTER)
    keep_precision(pipe, _ADAPTER, tensors, room)


def _empty(pipe: Pipeline, rank: int) -> None:
    """As it was before the first LoRA."""
    pipe.unload_lora_weights()
    enable(pipe, rank)


def _refuse_text(pipe: Pipeline, files: Sequence[tuple[LoraFile, float]], rank: int) -> None:
    for file, _ in files:
        for part in sorted(file.parts):
            if getattr(pipe, part) is not denoiser_of(pipe):
                raise BadRequest(
                    f"{file.path} changes the {part}, which lora_rank={rank} has no room for; "
                    "take a preset with lora_rank=0"
                )


def _refuse_rank(files: Sequence[tuple[LoraFile, float]], needed: int, rank: int) -> None:
    if needed > rank:
        those = " and ".join(file.path for file, _ in files)
        raise BadRequest(
            f"{those} need a rank of {needed}, above lora_rank={rank}; take a preset with a higher one or with 0"
        )


def _summed(files: Sequence[tuple[LoraFile, float]]) -> dict[Place, Layer]:
    """By layer, one LoRA that adds what all of them add."""
    by_place: dict[Place, list[Layer]] = {}
    for file, weight in files:
        for place, layer in file.layers.items():
            by_place.setdefault(place, []).append(_scaled(layer, weight))
    return {
        place: Layer(torch.cat([one.down for one in layers]), torch.cat([one.up for one in layers], dim=1), 1.0)
        for place, layers in by_place.items()
    }


def _scaled(layer: Layer, weight: float) -> Layer:
    """With the scale in both matrices, half each, so that none gets too small for the denoiser's precision."""
    factor = weight * layer.scale
    root = math.sqrt(abs(factor))
    return Layer(layer.down.float() * root, layer.up.float() * math.copysign(root, factor), 1.0)


def _tensors(
    pipe: Pipeline, summed: Mapping[Place, Layer], room: frozenset[Place], rank: int
) -> dict[str, torch.Tensor]:
    """Under the names of diffusers' layout, filled up with zeros to the room's layers and rank."""
    dtype = denoiser_of(pipe).dtype
    tensors = {}
    for part, name in sorted(room):
        down_shape, up_shape = _shapes(layer_at(pipe, (part, name)), rank)
        down, up = torch.zeros(down_shape, dtype=dtype), torch.zeros(up_shape, dtype=dtype)
        layer = summed.get((part, name))
        if layer is not None:
            down[: layer.rank] = layer.down
            up[:, : layer.rank] = layer.up
        tensors[f"{part}.{name}.lora_A.weight"] = down
        tensors[f"{part}.{name}.lora_B.weight"] = up
    return tensors


def _shapes(module: torch.nn.Module, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    layer = getattr(module, "base_layer", module)
    if isinstance(layer, torch.nn.Conv2d):
        return (rank, layer.in_channels // layer.groups, *layer.kernel_size), (layer.out_channels, rank, 1, 1)
    assert isinstance(layer, torch.nn.Linear)
    return (rank, layer.in_features), (layer.out_features, rank)
