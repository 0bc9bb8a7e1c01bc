"""
The energy of the host's processors by RAPL, where the kernel lets this process read it.

Only whole packages are added up: `psys` holds them all, and `core` and `uncore` are parts of them. Whatever runs on the
host is in it, so a figure from here is derived and says so.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kilnwatt_worker.diffusers_engine.pulse import Pulse, pulse
from kilnwatt_worker.energy import Energy
from kilnwatt_worker.resident import NO_ENERGY

EVERY_SECONDS = 20.0
"""Counters start anew after 65 kJ or more: at 400 W after a little over two minutes."""
_ZONE = re.compile(r"intel-rapl:\d+")


@dataclass(frozen=True, slots=True)
class Package:
    counter: Path
    range_uj: int
    """Microjoules, after which its counter starts anew."""


def powercap() -> Path:
    """`KW_POWERCAP` in the environment names another folder, for tests on hosts whose processors tell."""
    return Path(os.environ.get("KW_POWERCAP", "/sys/class/powercap"))


def packages_in(root: Path) -> tuple[Package, ...]:
    """None of them where any cannot be read: half of the processors would be taken for all."""
    try:
        zones = sorted(zone for zone in root.iterdir() if _ZONE.fullmatch(zone.name))
        packages = tuple(
            Package(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
            for zone in zones
            if (zone / "name").read_text().startswith("package-")
        )
    except (OSError, ValueError):
        return ()
    return () if _read(packages) is None or any(package.range_uj <= 0 for package in packages) else packages


class PackageWindow:
    """Reads now and then in between, because a counter that went round twice cannot be told from one that did not."""

    def __init__(self, packages: Sequence[Package], beat: Pulse | None = None) -> None:
        self._packages = packages
        self._microjoules = 0
        self._last = _read(packages)
        self._stop = (beat or pulse(EVERY_SECONDS))(self._look)

    def close(self) -> Energy:
        self.abandon()
        self._look()
        # A counter of a processor rises a thousand times a second: one that did not is none.
        if self._last is None or self._microjoules == 0:
            return NO_ENERGY
        return Energy(round(self._microjoules / 1000), "rapl", "derived", ("whole_package",), None, None)

    def abandon(self) -> None:
        self._stop()

    def _look(self) -> None:
        now = _read(self._packages)
        if self._last is not None and now is not None:
            self._microjoules += sum(
                (now[package] - self._last[package]) % package.range_uj for package in self._packages
            )
        self._last = now if self._last is not None else None


def _read(packages: Sequence[Package]) -> Mapping[Package, int] | None:
    try:
        return {package: int(package.counter.read_text()) for package in packages}
    except (OSError, ValueError):
        return None
