"""
A window of energy: the meters of a device read at both ends of a stretch of work, and looked at in between.

NVML's counter covers the whole card; power is sampled beside it, for where it cannot be believed. A processor is read
by RAPL. Where there is no meter the answer is unknown, never zero.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

import torch

from kilnwatt_worker.card import Card, card_of
from kilnwatt_worker.diffusers_engine.device_uuid import uuid_of
from kilnwatt_worker.diffusers_engine.package_window import PackageWindow
from kilnwatt_worker.diffusers_engine.power_samples import Sample, integrated
from kilnwatt_worker.diffusers_engine.pulse import Pulse, pulse
from kilnwatt_worker.diffusers_engine.sharing import Onlooker
from kilnwatt_worker.diffusers_engine.verdict import Told, energy_of
from kilnwatt_worker.energy import Energy
from kilnwatt_worker.rapl import packages_in, powercap
from kilnwatt_worker.resident import NO_ENERGY

SAMPLE_SECONDS = 0.1
LOOK_SECONDS = 1.0
"""Between two looks at who computes on the card."""

Counter: TypeAlias = Callable[[], int | None]
"""Millijoules since the driver was loaded; None when it cannot be read now."""


class EnergyWindow(Protocol):
    """Open from the moment that it is made. Raises nothing, whatever becomes of the device."""

    def close(self) -> Energy: ...

    def abandon(self) -> None:
        """Ends the sampling without asking the device, which may not answer any more. May be called twice."""


class CardWindow:
    """The device must have nothing left to do at both ends."""

    def __init__(
        self,
        card: Card,
        beat: Pulse | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._card = card
        self._clock = clock
        self._wall = wall
        self._counters: list[int | None] = []
        self._samples: list[Sample] = []
        self._onlooker = Onlooker(card, clock())
        self._next_look = clock() + LOOK_SECONDS
        self._begin, self._from_ms = self._sample()
        self._stop = (beat or pulse(SAMPLE_SECONDS))(self._look)

    def close(self) -> Energy:
        self.abandon()
        end, to_ms = self._sample()
        self._onlooker.look(end)
        seconds = end - self._begin
        return energy_of(
            Told(
                gpu=self._card.uuid,
                from_ms=self._from_ms,
                to_ms=max(to_ms, self._from_ms),  # somebody may have set the clock back
                seconds=seconds,
                counters=tuple(self._counters),
                integral=integrated(tuple(self._samples), self._begin, end, self._card.is_instant),
                limit_mw=self._card.limit_mw(),
                sharing=self._onlooker.told(seconds),
            )
        )

    def abandon(self) -> None:
        self._stop()

    def _look(self) -> None:
        now, _ = self._sample()
        if now >= self._next_look:
            self._onlooker.look(now)
            self._next_look = now + LOOK_SECONDS

    def _sample(self) -> tuple[float, int]:
        """Counter, clocks and power as close together as they can be read: the moment in both clocks."""
        self._counters.append(self._card.counter_mj())
        now, wall = self._clock(), self._wall()
        power = self._card.power_mw()
        if power is not None:
            self._samples.append(Sample(now, power))
        return now, round(wall * 1000)


class NoWindow:
    def close(self) -> Energy:
        return NO_ENERGY

    def abandon(self) -> None:
        pass


class Meter:
    """Of one device. At most one window of it is open: who opens another has abandoned the one before."""

    def __init__(self, make: Callable[[], EnergyWindow]) -> None:
        self._make = make
        self._window: EnergyWindow = NoWindow()

    def open(self) -> EnergyWindow:
        self._window.abandon()
        self._window = self._make()
        return self._window


def meter_of(device: torch.device, root: Path | None = None) -> Meter:
    """Looked for once for each device. `root` is the kernel's folder of power zones."""
    if device.type == "cuda":
        return meter_of_card(uuid_of(device))
    packages = packages_in(root or powercap())
    return Meter(lambda: PackageWindow(packages)) if packages else Meter(NoWindow)


def meter_of_card(uuid: str) -> Meter:
    card = card_of(uuid)
    return Meter(NoWindow) if card is None else Meter(lambda: CardWindow(card))


def counter_of(device: torch.device) -> Counter:
    """Tried once for each device; a card without a counter costs nothing afterwards."""
    return _nothing if device.type != "cuda" else nvml_counter(uuid_of(device))


def _nothing() -> int | None:
    return None


def nvml_counter(uuid: str) -> Counter:
    card = card_of(uuid)
    return _nothing if card is None or card.counter_mj() is None else card.counter_mj
