"""How tensors lie in memory."""

import torch

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings


def apply(target: Target) -> None:
    if not target.preset.channels_last:
        return
    denoiser = denoiser_of(target.pipe)
    if not _kernels(denoiser):
        target.downgrade("channels_last", False, f"a {type(denoiser).__name__} has no convolutions")
        return
    for part in (denoiser, target.pipe.vae):
        part.to(memory_format=torch.channels_last)


def in_effect(pipe: Pipeline) -> Settings:
    denoiser = denoiser_of(pipe)
    return {
        "channels_last": _kernels(denoiser) != [] and _is_channels_last(denoiser) and _is_channels_last(pipe.vae),
    }


def _is_channels_last(part: Pipeline) -> bool:
    return all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in _kernels(part))


def _kernels(part: Pipeline) -> list[torch.Tensor]:
    """Only those that lie in one way or the other: of one input channel, or of one pixel, they lie in both."""
    return [
        weight for weight in part.parameters() if weight.dim() == 4 and weight.shape[1] > 1 and weight.shape[-1] > 1
    ]
