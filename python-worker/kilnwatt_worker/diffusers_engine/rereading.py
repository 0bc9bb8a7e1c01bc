"""Parts of a loaded model, read once more from its folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError

from kilnwatt_worker.diffusers_engine.components import component
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.model_folder import judge
from kilnwatt_worker.sentences import first_line


def autoencoder_again(folder: Path, vae: Pipeline, dtype: torch.dtype) -> Pipeline:
    """Another one of the same weights. Raises WorkerError `model_*` for a folder that was changed meanwhile."""
    judged = judge(str(folder))
    return _read(
        folder,
        "vae",
        lambda: type(vae).from_pretrained(
            str(folder / "vae"),
            dtype=dtype,
            variant=judged.variant_of("vae"),
            use_safetensors=True,
            local_files_only=True,
        ),
    )


def weights_again(folder: Path, name: str, factory: Pipeline, dtype: torch.dtype) -> Mapping[str, torch.Tensor]:
    """Those of a text encoder, by their names. Raises WorkerError as above."""
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
