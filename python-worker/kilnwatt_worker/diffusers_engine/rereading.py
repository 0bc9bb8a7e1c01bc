"""Parts of a loaded model, read once more from its folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError

from kilnwatt_worker.diffusers_engine.components import component, refuse_lacking_part
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.model_folder import judge
from kilnwatt_worker.sentences import first_line


def autoencoder_again(target: Target, dtype: torch.dtype) -> Pipeline:
    """Another one of the same weights. Raises WorkerError `model_*` for a folder that was changed meanwhile."""
    if target.make_again is not None:
        return target.make_again("vae", dtype)
    folder, factory = target.folder, type(target.pipe.vae)
    judged = judge(str(folder))
    vae = _read(
        folder,
        "vae",
        lambda: factory.from_pretrained(
            str(folder / "vae"),
            dtype=dtype,
            variant=judged.variant_of("vae"),
            use_safetensors=True,
            local_files_only=True,
        ),
    )
    refuse_lacking_part(vae, "vae", judged)
    return vae


def weights_again(target: Target, name: str, factory: Pipeline, dtype: torch.dtype) -> Mapping[str, torch.Tensor]:
    """Those of a text encoder, by their names. Raises WorkerError as above."""
    if target.make_again is not None:
        again = target.make_again(name, dtype)
    else:
        folder = target.folder
        again = _read(folder, name, lambda: component(judge(str(folder)), name, factory, dtype))
    return {tensor: value.data for tensor, value in again.named_parameters()}


def _read(folder: Path, name: str, read: Callable[[], Pipeline]) -> Pipeline:
    try:
        return read()
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        reason = first_line(error)
        raise WorkerError(
            "model_broken", f"{folder / name} cannot be read again: {reason}; fetch the model again"
        ) from error
