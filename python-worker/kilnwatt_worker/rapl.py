"""
The energy counters of the host's processors (RAPL), where they can be read: usually by root only.

Only whole packages count: `core`, `uncore` and `dram` zones lie inside or beside them, and `psys` holds them all.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/class/powercap")
ZONE = re.compile(r"intel-rapl:\d+")
"""Top-level ones; AMD's processors have the same name. Zones inside have a second number."""


def package_microjoules(root: Path = ROOT) -> dict[str, int]:
    """The counter of each package, by its zone; none where any cannot be read: half would be taken for the whole."""
    readings = {zone.name: _number(zone / "energy_uj") for zone in _packages(root)}
    counters = {name: reading for name, reading in readings.items() if reading is not None}
    return counters if len(counters) == len(readings) else {}


def wrap_microjoules(root: Path = ROOT) -> dict[str, int]:
    """The value after which the counter of each package begins again at 0."""
    limits = {zone.name: _number(zone / "max_energy_range_uj") for zone in _packages(root)}
    return {name: limit for name, limit in limits.items() if limit}


def risen(before: int, after: int, limit: int | None) -> int:
    """Microjoules between two readings of one counter, which began again at most once. Unknown limits count as none."""
    if after >= before:
        return after - before
    return after if limit is None else after + limit - before


@dataclass(frozen=True, slots=True)
class PackageSum:
    """All packages together since the first reading. It never falls; a package that is not read adds nothing."""

    microjoules: int
    counters: dict[str, int]

    def with_reading(self, counters: dict[str, int], limits: dict[str, int]) -> "PackageSum":
        more = sum(
            risen(self.counters[name], after, limits.get(name))
            for name, after in counters.items()
            if name in self.counters
        )
        return PackageSum(self.microjoules + more, {**self.counters, **counters})


def _packages(root: Path) -> list[Path]:
    try:
        zones = sorted(path for path in root.iterdir() if ZONE.fullmatch(path.name))
    except OSError:
        return []
    return [zone for zone in zones if _text(zone / "name").startswith("package-")]


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
