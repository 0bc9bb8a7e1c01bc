"""
The energy of a stretch of work on the host's processors. Whatever runs on the host is in it, so the figure is derived
and says so.
"""

from collections.abc import Sequence

from kilnwatt_worker.diffusers_engine.pulse import Pulse, pulse
from kilnwatt_worker.energy import Energy
from kilnwatt_worker.rapl import Package, PackageSum, counters_of
from kilnwatt_worker.resident import NO_ENERGY

EVERY_SECONDS = 20.0


class PackageWindow:
    """Reads now and then in between, because a counter that went round twice cannot be told from one that did not."""

    def __init__(self, packages: Sequence[Package], beat: Pulse | None = None) -> None:
        self._packages = packages
        first = counters_of(packages)
        self._sum = None if first is None else PackageSum(0, first)
        """None once a reading has failed."""
        self._stop = (beat or pulse(EVERY_SECONDS))(self._look)

    def close(self) -> Energy:
        self.abandon()
        self._look()
        # A counter of a processor rises a thousand times a second: one that did not is none.
        if self._sum is None or self._sum.microjoules == 0:
            return NO_ENERGY
        return Energy(round(self._sum.microjoules / 1000), "rapl", "derived", ("whole_package",), None, None)

    def abandon(self) -> None:
        self._stop()

    def _look(self) -> None:
        now = counters_of(self._packages)
        self._sum = None if self._sum is None or now is None else self._sum.with_reading(now)
