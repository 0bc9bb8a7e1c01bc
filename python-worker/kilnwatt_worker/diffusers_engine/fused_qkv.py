"""Queries, keys and values of the denoiser's attention by one product instead of three."""

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings
from kilnwatt_worker.sentences import first_line

_SELF = ("to_q", "to_k", "to_v")
_CROSS = ("to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")


def apply(target: Target) -> None:
    """Before weights are quantised, and before another processor is chosen: a UNet gets new ones here."""
    if not target.preset.fused_qkv:
        return
    denoiser = denoiser_of(target.pipe)
    reason = f"a {type(denoiser).__name__} cannot fuse them"
    try:
        if hasattr(denoiser, "fuse_qkv_projections"):
            denoiser.fuse_qkv_projections()
    except ValueError as error:
        reason = first_line(error)
    for module in _attentions(denoiser):
        _drop_separate(module)
    if not in_effect(target.pipe)["fused_qkv"]:
        target.downgrade("fused_qkv", False, reason)


def in_effect(pipe: Pipeline) -> Settings:
    """True where every attention that could be fused is, and holds the weights for it."""
    found = _attentions(denoiser_of(pipe))
    return {"fused_qkv": found != [] and all(_is_fused(module) for module in found)}


def _attentions(denoiser: Pipeline) -> list[Pipeline]:
    return [
        module
        for module in denoiser.modules()
        if hasattr(module, "fuse_projections") and getattr(module, "_supports_qkv_fusion", True)
    ]


def _is_fused(module: Pipeline) -> bool:
    return bool(module.fused_projections) and (hasattr(module, "to_qkv") or hasattr(module, "to_kv"))


def _drop_separate(module: Pipeline) -> None:
    """The weights that were fused. diffusers keeps them, which would cost their memory twice."""
    if not _is_fused(module):
        return
    names = (*(_SELF if hasattr(module, "to_qkv") else _CROSS), *(_ADDED if hasattr(module, "to_added_qkv") else ()))
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
