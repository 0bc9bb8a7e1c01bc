"""What was asked for on the command line."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    root: Path
    """Of the checkout."""
    device: str
    small: bool
    families: tuple[str, ...]
    presets: tuple[str, ...]
    """Empty: all."""
    catalogue: Path
    out: Path | None
    recording: Path | None
    budget_seconds: float
    """From the start to the last case, the models' making included."""
    case_seconds: float
    idle_seconds: float
    fresh: bool
