"""A small autoencoder in place of the model's own, for previews: less memory and time, and less fine detail."""

import os
from pathlib import Path

from diffusers import AutoencoderTiny

from kilnwatt_worker.diffusers_engine.device_errors import device_error
from kilnwatt_worker.diffusers_engine.pipeline import Family, Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Settings

INSIDE = "tiny_vae"
VARIABLE = "KILNWATT_TINY_VAE"
SIBLINGS: dict[Family, str] = {"sd": "taesd", "sdxl": "taesdxl", "flux": "taef1"}


def apply(target: Target) -> None:
    """Replaces the pipeline's VAE, so that whatever looks at that one sees what decodes. Its own scale is 1."""
    if target.preset.decoder != "tiny":
        return
    folder = _folder(target)
    tiny = _loaded(folder, target.pipe.vae)
    wanted = int(target.pipe.vae.config.latent_channels)
    if int(tiny.config.latent_channels) != wanted or 2 ** (len(tiny.config.decoder_block_out_channels) - 1) != int(
        target.pipe.vae_scale_factor
    ):
        raise WorkerError(
            "preset_impossible",
            f"decoder=tiny cannot be: the tiny VAE in {folder} is for other latents than this model's, which have "
            f"{wanted} channels; put the one for this model there",
        )
    target.pipe.vae = tiny


def in_effect(pipe: Pipeline) -> Settings:
    return {"decoder": "tiny" if isinstance(pipe.vae, AutoencoderTiny) else "own"}


def _folder(target: Target) -> Path:
    named = os.environ.get(VARIABLE)
    sibling = SIBLINGS.get(target.family)
    places = [target.folder / INSIDE]
    places += [Path(named)] if named else []
    places += [target.folder.parent / sibling] if sibling else []
    for place in places:
        if (place / "config.json").is_file():
            return place
    beside = f", or as {places[-1]}" if sibling else ""
    raise WorkerError(
        "preset_impossible",
        f"decoder=tiny needs a tiny VAE (an AutoencoderTiny with safetensors): put it into {places[0]}{beside}, "
        f"or name its folder in {VARIABLE}",
    )


def _loaded(folder: Path, own: Pipeline) -> Pipeline:
    """In the dtype of the model's own."""
    try:
        tiny = AutoencoderTiny.from_pretrained(
            str(folder), dtype=own.dtype, use_safetensors=True, local_files_only=True
        )
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if device_error(error, "loading the tiny VAE") is not None:
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WorkerError(
            "preset_impossible", f"the tiny VAE in {folder} cannot be loaded: {reason}; fetch it again, as safetensors"
        ) from error
    lacking = next((name for name, value in tiny.named_parameters() if value.is_meta), None)
    if lacking is not None:
        raise WorkerError("preset_impossible", f"the tiny VAE in {folder} lacks the tensor {lacking}; fetch it again")
    return tiny.eval()
