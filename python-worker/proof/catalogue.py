"""The orchestrator's presets, as the worker takes them."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from kilnwatt_worker.parts import Preset
from kilnwatt_worker.strict import Refused, build


@dataclass(frozen=True, slots=True)
class Entry:
    preset: Preset
    families: tuple[str, ...]
    """Empty: any."""
    device: str
    """`cpu`, `cuda` or `any`."""
    memory_gb: float | None = None
    """Class of card that it is made for; None: any."""

    def is_for(self, family: str, device: str) -> bool:
        return (not self.families or family in self.families) and self.device in ("any", device)

    @property
    def is_plain(self) -> bool:
        return self.preset == Preset(self.preset.name)


def read_catalogue(file: Path) -> list[Entry]:
    """Raises ValueError, with the place, for what is no catalogue."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the catalogue {file} cannot be read: {error}") from error
    if not isinstance(raw, list):
        raise ValueError(f"the catalogue {file} is not a list of presets")
    return [_entry(one, f"{file}, preset {number}") for number, one in enumerate(raw, 1)]


def _entry(raw: object, where: str) -> Entry:
    if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
        raise ValueError(f"{where} has no name")
    settings = {**dataclasses.asdict(Preset(raw["name"])), **raw.get("settings", {})}
    settings["buckets"] = list(settings["buckets"])
    try:
        preset = build(Preset, settings, where)
    except Refused as error:
        raise ValueError(str(error)) from error
    return Entry(preset, tuple(raw.get("families", ())), str(raw.get("device", "any")), raw.get("memory_gb"))
