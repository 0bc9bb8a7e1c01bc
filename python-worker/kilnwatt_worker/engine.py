"""What the loop needs from an engine, and what an engine may tell while it works."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from kilnwatt_worker.energy import Energy
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.messages import Generate, Load
from kilnwatt_worker.parts import Downgrade, Item, Level, Memory, Phase, Settings, StepSeconds, Work

LogTo: TypeAlias = Callable[[Level, str], None]


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Settings in effect, read back after loading; bytes of weights by part of the pipeline."""

    settings: Settings
    versions: dict[str, str]
    downgrades: tuple[Downgrade, ...] = ()
    weights: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a stretch of work took from its device."""

    memory: Memory
    energy: Energy


class Window(Protocol):
    """An open measurement. `close` waits for the device, then reads."""

    def close(self) -> Usage: ...


class Report(Protocol):
    """How an engine answers a batch. Each item gets one answer; a second one raises."""

    def phase(self, phase: Phase) -> None:
        """What the engine does from now on. The time until the next call is booked on it."""

    def progress(self, step: int, steps: int) -> None:
        """Steps done of the current phase. Cheap: what is too often is not sent."""

    def image(self, item: Item, width: int, height: int) -> None:
        """The file at `item.out` is complete and closed."""

    def failure(self, item: Item, error: WorkerError) -> None: ...

    def log(self, level: Level, message: str) -> None: ...

    def denoised(self, steps: StepSeconds, work: Work) -> None:
        """What the denoising took; told once, before the first picture's answer."""

    def wanted(self) -> frozenset[str]:
        """Jobs that have no answer yet and were not cancelled. Empty means: stop."""


class Engine(Protocol):
    """One model at a time on one device. Called from one thread."""

    kind: str

    def load(self, load: Load, log: LogTo) -> EngineFacts:
        """Frees what was loaded before. Raises WorkerError; then nothing is loaded."""

    def generate(self, generate: Generate, report: Report) -> None:
        """Answers every wanted item through `report`; what it raises answers all that are left."""

    def unload(self) -> None: ...

    def window(self, device: str) -> Window: ...
