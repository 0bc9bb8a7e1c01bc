"""Which LoRAs an engine has at hand, and which of them are in effect."""

from dataclasses import dataclass, field
from typing import TypeAlias

Place: TypeAlias = tuple[str, str]
"""A layer: the pipeline's part, and the name of the module in it."""

Identity: TypeAlias = tuple[str, int, int]
"""Path, bytes and time of change: a file that was replaced is another one."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A LoRA whose tensors are in the model."""

    adapter: str
    """Its name there; none is part of another, because some of the libraries look for it inside of longer names."""
    places: frozenset[Place]
    size: int
    """In bytes."""
    reads_text: bool
    """Whether it changes a text encoder."""


@dataclass(slots=True)
class LoraShelf:
    """Of one loaded pipeline; changed by `lora.use` alone."""

    kept: dict[Identity, Kept] = field(default_factory=dict)
    """The one that was used longest ago first."""
    active: tuple[tuple[Identity, float], ...] = ()
    """In effect, with their weights."""
    room: frozenset[Place] = frozenset()
    """Layers that have place for a LoRA that is swapped in."""
    named: int = 0
    """Names given so far."""
