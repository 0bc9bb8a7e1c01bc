"""What both trainings do in a step: the learning rate of that step, its own chance, and the update."""

from collections.abc import Sequence

import torch
from torch import nn

LAST_PART = 0.03
"""The learning rate ends at this part of its peak."""


def rate(step: int, steps: int, peak: float, warm: int) -> float:
    """Rises over `warm` steps, or a tenth of all where these are few, then falls evenly towards the last one."""
    warm = min(warm, max(1, steps // 10))
    return peak * min(1.0, (step + 1) / warm) * max(LAST_PART, 1 - step / steps)


def chance(seed: int, stage: int, step: int) -> torch.Generator:
    """On the CPU, so that each device draws the same."""
    return torch.Generator().manual_seed((seed * 7 + stage) * 1_000_003 + step)


def update(
    optimiser: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], loss: torch.Tensor, rate_now: float
) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate_now
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
