"""A small autoencoder in place of the model's own, for previews: less memory and time, and less fine detail."""

import os
from pathlib import Path

from diffusers import AutoencoderTiny

from kilnwatt_worker.diffusers_engine.device_errors import device_error
from kilnwatt_worker.diffusers_engine.pipeline import Family, Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Settings
from kilnwatt_worker.sentences import first_line

CONFIG = "config.json"
INSIDE = "tiny_vae"
VARIABLE = "KILNWATT_TINY_VAE"
SIBLINGS: dict[Family, str] = {"sd": "taesd", "sdxl": "taesdxl", "flux": "taef1"}


def apply(target: Target) -> None:
    """Replaces the pipeline's VAE, so that whatever looks at that one sees what decodes. Its own scale is 1."""
    if target.preset.decoder != "tiny":
        return
    folder, own = _folder(target), target.pipe.vae
    tiny = _loaded(folder, own)
    channels, factor = int(own.config.latent_channels), int(target.pipe.vae_scale_factor)
    if (int(tiny.config.latent_channels), 2 ** (len(tiny.config.decoder_block_out_channels) - 1)) != (channels, factor):
        raise _impossible(
            f"the tiny VAE in {folder} does not fit this model, whose latents have {channels} channels and stand for "
            f"{factor}x{factor} pixels; put another one there"
        )
    target.pipe.vae = tiny


def in_effect(pipe: Pipeline) -> Settings:
    return {"decoder": "tiny" if isinstance(pipe.vae, AutoencoderTiny) else "own"}


def _folder(target: Target) -> Path:
    inside, named = target.folder / INSIDE, os.environ.get(VARIABLE)
    sibling = target.folder.parent / SIBLINGS[target.family] if target.family in SIBLINGS else None
    if (inside / CONFIG).is_file():
        return inside
    if named:
        if (Path(named) / CONFIG).is_file():
            return Path(named)
        raise _impossible(f"{VARIABLE} names {named}, where there is none; correct it or leave it out")
    if sibling is not None and (sibling / CONFIG).is_file():
        return sibling
    beside = "" if sibling is None else f", or as {sibling}"
    raise _impossible(f"put a tiny VAE into {inside}{beside}, or name its folder in {VARIABLE}")


def _loaded(folder: Path, own: Pipeline) -> Pipeline:
    """In the dtype of the model's own."""
    try:
        tiny = AutoencoderTiny.from_pretrained(
            str(folder), dtype=own.dtype, use_safetensors=True, local_files_only=True
        )
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if device_error(error, "loading the tiny VAE") is not None:
            raise
        reason = first_line(error)
        raise _impossible(f"{folder} cannot be loaded: {reason}; fetch it again, as safetensors") from error
    lacking = next((name for name, value in tiny.named_parameters() if value.is_meta), None)
    if lacking is not None:
        raise _impossible(f"{folder} lacks the tensor {lacking}; fetch it again")
    return tiny.eval()


def _impossible(why: str) -> WorkerError:
    return WorkerError("preset_impossible", f"decoder=tiny needs an AutoencoderTiny as safetensors: {why}")
