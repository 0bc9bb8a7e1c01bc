"""
The energy counters of the host's processors (RAPL), where they can be read: usually by root only.

Only whole packages count: `core`, `uncore` and `dram` zones lie inside or beside them, and `psys` holds them all.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ZONE = re.compile(r"intel-rapl:\d+")
"""Top-level ones; AMD's processors have the same name. Zones inside have a second number."""


@dataclass(frozen=True, slots=True)
class Package:
    counter: Path
    range_uj: int
    """Microjoules, after which its counter starts anew: 65 kJ or more, which 400 W take over two minutes for."""


def powercap() -> Path:
    """The kernel's folder of power zones; `KW_POWERCAP` in the environment names another one."""
    return Path(os.environ.get("KW_POWERCAP", "/sys/class/powercap"))


def packages_in(root: Path) -> tuple[Package, ...]:
    """None of them where any cannot be read: half of the processors would be taken for all."""
    try:
        zones = sorted(zone for zone in root.iterdir() if ZONE.fullmatch(zone.name))
        packages = tuple(
            Package(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
            for zone in zones
            if (zone / "name").read_text().startswith("package-")
        )
    except (OSError, ValueError):
        return ()
    return () if counters_of(packages) is None or any(package.range_uj <= 0 for package in packages) else packages


def counters_of(packages: Sequence[Package]) -> Mapping[Package, int] | None:
    """As they stand now, in microjoules; None where any does not answer."""
    try:
        return {package: int(package.counter.read_text()) for package in packages}
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class PackageSum:
    """Of all packages together since the first reading. It never falls."""

    microjoules: int
    counters: Mapping[Package, int]

    def with_reading(self, counters: Mapping[Package, int]) -> "PackageSum":
        """Each counter began again at most once since the reading before: read them every minute."""
        more = sum((counters[package] - before) % package.range_uj for package, before in self.counters.items())
        return PackageSum(self.microjoules + more, counters)
