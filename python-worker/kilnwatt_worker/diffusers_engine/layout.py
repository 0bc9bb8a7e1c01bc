"""How tensors lie in memory."""

import torch

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings


def apply(target: Target) -> None:
    del target


def in_effect(pipe: Pipeline) -> Settings:
    kernels = (weight for weight in denoiser_of(pipe).parameters() if weight.dim() == 4 and weight.shape[-1] > 1)
    first = next(kernels, None)
    return {"channels_last": first is not None and bool(first.is_contiguous(memory_format=torch.channels_last))}
