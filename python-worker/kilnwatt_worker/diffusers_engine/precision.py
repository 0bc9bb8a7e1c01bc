"""
Data types of the parts, and how exactly the card multiplies.

The card's switches belong to the process, and a process loads many presets one after the other: so all are set at
every load, to what is asked or to torch's own defaults. By those, convolutions use TF32 and matrix products do not.
"""

import torch
from diffusers import AutoencoderKL

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.rereading import autoencoder_again
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_TF32_SINCE = (8, 0)
"""Compute capability."""


def apply(target: Target) -> None:
    _set_vae_dtype(target)
    _set_tf32(target)
    _set_fp16_accumulation(target)


def in_effect(pipe: Pipeline) -> Settings:
    return {
        "dtype": _name(denoiser_of(pipe)),
        "vae_dtype": _name(pipe.vae),
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32),
        "fp16_accumulation": bool(torch.backends.cuda.matmul.allow_fp16_accumulation),
    }


def _set_vae_dtype(target: Target) -> None:
    vae = target.pipe.vae
    asked = target.preset.vae_dtype
    dtype = DTYPES[asked] if asked != "auto" else torch.float32 if _overflows(target.pipe) else vae.dtype
    if dtype == vae.dtype:
        return
    if dtype == torch.float32 and isinstance(vae, AutoencoderKL):
        # The model's own is read again, since what was lost on the way to half precision does not come back.
        target.pipe.vae = autoencoder_again(target, dtype)
    else:
        vae.to(dtype=dtype)


def _overflows(pipe: Pipeline) -> bool:
    """
    In float16: with it the pipeline would take the VAE to float32 and back on every call. `force_upcast: false` in a
    VAE's config says that it is safe. True there says little, since it is the default of every VAE; those pipelines
    that read it have `upcast_vae`.
    """
    return bool(pipe.vae.dtype == torch.float16 and pipe.vae.config.force_upcast and hasattr(pipe, "upcast_vae"))


def _set_tf32(target: Target) -> None:
    lacking = _lacks_tf32(target.device) if target.preset.tf32 else None
    wanted = target.preset.tf32 and lacking is None
    torch.backends.cuda.matmul.allow_tf32 = wanted
    torch.backends.cudnn.allow_tf32 = True
    if lacking is not None:
        target.downgrade("tf32", False, lacking)


def _lacks_tf32(device: torch.device) -> str | None:
    if device.type != "cuda":
        return "a CPU has no such numbers"
    capability = torch.cuda.get_device_capability(device)
    return None if capability >= _TF32_SINCE else f"the card's compute capability is {capability[0]}.{capability[1]}"


def _set_fp16_accumulation(target: Target) -> None:
    lacking = None
    if target.preset.fp16_accumulation and target.device.type != "cuda":
        lacking = "a CPU has no such sums"
    elif target.preset.fp16_accumulation and denoiser_of(target.pipe).dtype != torch.float16:
        lacking = f"the denoiser is {_name(denoiser_of(target.pipe))} and not float16"
    torch.backends.cuda.matmul.allow_fp16_accumulation = target.preset.fp16_accumulation and lacking is None
    if lacking is not None:
        target.downgrade("fp16_accumulation", False, lacking)


def _name(module: Pipeline) -> str:
    return str(module.dtype).removeprefix("torch.")
