"""Applies a preset and reads back what came of it. A setting that cannot hold is a named downgrade, never silence."""

import torch

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.engine import LogTo
from kilnwatt_worker.parts import Preset, Settings

TILE_PIXELS = 512
SLICED = "SlicedAttnProcessor"
XFORMERS = "XFormersAttnProcessor"


def apply(pipe: Pipeline, preset: Preset, device: torch.device, log: LogTo) -> None:
    """Afterwards the pipeline is on its device, or is brought there part by part during each call."""
    _attention(pipe, preset, log)
    _vae(pipe, preset)
    if preset.offload == "model" and device.type == "cuda":
        pipe.enable_model_cpu_offload(device=device)
        return
    if preset.offload == "model":
        log("warning", "offload=model has nothing to offload on a CPU; the model stays resident")
    pipe.to(device)


def settings_in_effect(pipe: Pipeline, device: str) -> Settings:
    """Read from the loaded modules, not from the preset."""
    denoiser, vae = denoiser_of(pipe), pipe.vae
    tiled = bool(vae.use_tiling)
    return {
        "device": device,
        "dtype": _dtype_name(denoiser),
        "vae_dtype": _dtype_name(vae),
        "attention": "+".join(_processors(denoiser)),
        "scheduler": type(pipe.scheduler).__name__,
        "vae_slicing": bool(vae.use_slicing),
        "vae_tiling": tiled,
        "vae_tile_pixels": int(vae.tile_sample_min_size) if tiled else None,
        "offload": "model" if _is_offloaded(pipe) else "none",
        "channels_last": _is_channels_last(denoiser),
    }


def _attention(pipe: Pipeline, preset: Preset, log: LogTo) -> None:
    """SDPA is what the models come with. The others are verified by the processors that they leave behind."""
    if preset.attention == "sdpa":
        return
    wanted = SLICED if preset.attention == "sliced" else XFORMERS
    reason = "the denoiser has no such processor"
    try:
        if preset.attention == "sliced":
            pipe.enable_attention_slicing()
        else:
            pipe.enable_xformers_memory_efficient_attention()
    except (ImportError, ValueError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    found = _processors(denoiser_of(pipe))
    if wanted not in found:
        log("warning", f"attention={preset.attention} is not in effect ({reason}); {'+'.join(found)} is")


def _vae(pipe: Pipeline, preset: Preset) -> None:
    vae = pipe.vae
    if preset.vae_slicing:
        vae.enable_slicing()
    if preset.vae_tiling:
        # Left alone, it tiles only above the size that the model was trained for, which is never.
        pixels = min(TILE_PIXELS, int(vae.config.sample_size))
        vae.enable_tiling()
        vae.tile_sample_min_size = pixels
        vae.tile_latent_min_size = pixels // int(pipe.vae_scale_factor)
    if preset.vae_dtype == "float32":
        vae.to(dtype=torch.float32)
        return
    # The first alone says little, since it is the default of every VAE; pipelines that read it have the second.
    if vae.dtype == torch.float16 and vae.config.force_upcast and hasattr(pipe, "upcast_vae"):
        # It overflows in float16. Once here, instead of there and back on every call.
        vae.to(dtype=torch.float32)


def _dtype_name(module: Pipeline) -> str:
    return str(module.dtype).removeprefix("torch.")


def _processors(denoiser: Pipeline) -> list[str]:
    """Some denoisers keep theirs where nobody can look."""
    processors = getattr(denoiser, "attn_processors", None)
    return sorted({type(one).__name__ for one in processors.values()}) if processors else ["unknown"]


def _is_offloaded(pipe: Pipeline) -> bool:
    return any(getattr(part, "_hf_hook", None) is not None for part in pipe.components.values())


def _is_channels_last(denoiser: Pipeline) -> bool:
    kernels = (weight for weight in denoiser.parameters() if weight.dim() == 4 and weight.shape[-1] > 1)
    first = next(kernels, None)
    return first is not None and bool(first.is_contiguous(memory_format=torch.channels_last))
