"""A model without a tensor would make pictures of random numbers, or fail in the middle; so it is refused here."""

import torch
import transformers

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.model_folder import ModelFolder


def transformers_components(folder: ModelFolder, dtype: torch.dtype) -> dict[str, Pipeline]:
    """
    Loaded here and handed to the pipeline, because transformers fills up what a file lacks and tells its caller only.

    Raises WorkerError `model_broken`, and whatever transformers raises.
    """
    return {
        name: component(folder, name, getattr(transformers, class_name), dtype)
        for name, (library, class_name) in folder.components.items()
        if library == "transformers"
        and issubclass(getattr(transformers, class_name, object), transformers.PreTrainedModel)
    }


def component(folder: ModelFolder, name: str, factory: Pipeline, dtype: torch.dtype) -> Pipeline:
    """A part of transformers' kind, whole. Raises as above."""
    model, found = factory.from_pretrained(
        str(folder.path / name),
        dtype=dtype,
        variant=folder.variant_of(name),
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    if found["missing_keys"]:
        raise _lacking(folder, name, min(found["missing_keys"]))
    return model


def refuse_lacking(pipe: Pipeline, folder: ModelFolder) -> None:
    """For the parts that diffusers loads: it leaves what a file lacks without memory. Raises WorkerError."""
    for name, part in pipe.components.items():
        if isinstance(part, torch.nn.Module):
            refuse_lacking_part(part, name, folder)


def refuse_lacking_part(part: torch.nn.Module, name: str, folder: ModelFolder) -> None:
    for tensor, value in part.named_parameters():
        if value.is_meta:
            raise _lacking(folder, name, tensor)


def _lacking(folder: ModelFolder, name: str, tensor: str) -> WorkerError:
    return WorkerError(
        "model_broken", f"{folder.path} cannot be loaded: its part {name} lacks the tensor {tensor}; fetch it again"
    )
