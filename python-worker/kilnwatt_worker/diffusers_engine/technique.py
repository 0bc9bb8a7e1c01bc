"""What every technique is: something that is applied to a pipeline once, and read back from it afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

import torch

from kilnwatt_worker.diffusers_engine.pipeline import Family, Pipeline
from kilnwatt_worker.engine import LogTo
from kilnwatt_worker.parts import Downgrade, Preset, Settings

MakeAgain: TypeAlias = Callable[[str, torch.dtype], Pipeline]
"""A part of the model by its name, once more, in a dtype."""


@dataclass(frozen=True, slots=True)
class Target:
    """A pipeline on its way to the device, and what was asked for it."""

    pipe: Pipeline
    preset: Preset
    family: Family
    device: torch.device
    folder: Path
    """The model's."""
    log: LogTo
    downgrades: list[Downgrade] = field(default_factory=list)
    make_again: MakeAgain | None = None
    """Where the model's parts do not come from its folder."""

    def downgrade(self, setting: str, in_effect: object, reason: str) -> None:
        """Says that a setting does not hold. `in_effect` is what `in_effect` of its technique will read back."""
        asked = getattr(self.preset, setting)
        self.downgrades.append(Downgrade(setting, str(asked), str(in_effect), reason))
        self.log("warning", f"{setting}={asked} is not in effect ({reason}); {setting}={in_effect} is")


class Technique(Protocol):
    """A module. Both functions are called for every preset, whether it uses the technique or not."""

    def apply(self, target: Target) -> None:
        """
        Does what the preset asks for, or names a downgrade. Raises WorkerError `preset_*` for what cannot be at all.
        """

    def in_effect(self, pipe: Pipeline) -> Settings:
        """
        The preset's own fields with the values that hold now, read from the pipeline's modules, and never from the
        preset; besides them, under other names, what else a receipt should say.
        """
