"""What all trainings do: the steps with their checkpoints, the learning rate of a step, its own chance, the update."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import nn
from tqdm import tqdm

from training.checkpoint import Checkpoint, packed, unpack

LAST_PART = 0.03
"""The learning rate ends at this part of its peak."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """
    `modules` are what a checkpoint holds, by name; `parameters` are those of them that `optimisers` change. The
    learning rate rises for `warm` steps, then falls, under `rate`; a group of parameters with a `share` has that part
    of it. Between two checkpoints lie `save_every` steps.
    """

    name: str
    modules: Mapping[str, nn.Module]
    parameters: Sequence[nn.Parameter]
    optimisers: Sequence[torch.optim.Optimizer]
    steps: int
    rate: float
    warm: int
    save_every: int


def learn(
    lesson: Lesson,
    checkpoint: Checkpoint,
    loss_of: Callable[[int], torch.Tensor],
    after: Callable[[int], None] = lambda _step: None,
) -> None:
    """Goes on from the checkpoint. `loss_of` a step, counted from 0, is made smaller; `after` follows each update."""
    done = 0
    if kept := checkpoint.load():
        done, tensors = kept
        unpack(tensors, lesson.modules, lesson.optimisers)
        print(f"{lesson.name}: going on after {done} of {lesson.steps} steps", file=sys.stderr)
    bar = tqdm(range(done, lesson.steps), initial=done, total=lesson.steps, desc=lesson.name, mininterval=1)
    for step in bar:
        loss = loss_of(step)
        _update(lesson, loss, rate(step, lesson.steps, lesson.rate, lesson.warm))
        after(step)
        if (step + 1) % lesson.save_every == 0 or step + 1 == lesson.steps:
            bar.set_postfix(loss=f"{loss.item():.4f}")
            checkpoint.save(step + 1, packed(lesson.modules, lesson.optimisers))


def rate(step: int, steps: int, peak: float, warm: int) -> float:
    """
    Rises over `warm` steps, or a tenth of all where these are few, and falls evenly towards the last one. Both at once:
    its highest is 0.9 to 1 of `peak`.
    """
    warm = min(warm, max(1, steps // 10))
    return peak * min(1.0, (step + 1) / warm) * max(LAST_PART, 1 - step / steps)


LOTS = 7
"""Stays as it is when lots are added, or each seed would give other weights; lots over it share their chance with the
first ones of the next seed."""


class Lot(IntEnum):
    """What is left to chance, each with a sequence of its own."""

    CUT_OUTS = 1
    BLUNDER = 2
    EXAMPLES = 3
    NOISE = 4
    NOISE_OF_EXAMINATION = 5
    WHOLE_PICTURES = 6
    DECODER_BLUNDER = 7
    CAPTIONS = 8
    COLORS = 9


def chance(seed: int, lot: Lot, step: int) -> torch.Generator:
    """On the CPU, so that each device draws the same."""
    return torch.Generator().manual_seed((seed * LOTS + lot) * 1_000_003 + step)


def _update(lesson: Lesson, loss: torch.Tensor, rate_now: float) -> None:
    for optimiser in lesson.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate_now * group.get("share", 1)
        optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(lesson.parameters, 1.0)
    for optimiser in lesson.optimisers:
        optimiser.step()
