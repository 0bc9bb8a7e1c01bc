"""What the engine answers, kept."""

import time
from dataclasses import dataclass, field

from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Item, Level, Phase, StepSeconds, Work


@dataclass
class KeptReport:
    """An `engine.Report`. Seconds by phase are those of the program, which waits for the device between phases."""

    jobs: frozenset[str]
    seconds: dict[str, float] = field(default_factory=dict)
    steps: StepSeconds | None = None
    work: Work | None = None
    images: list[str] = field(default_factory=list)
    failures: list[WorkerError] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    _phase: Phase = "idle"
    _since: float = field(default_factory=time.monotonic)

    def phase(self, phase: Phase) -> None:
        now = time.monotonic()
        if self._phase != "idle":
            self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now

    def progress(self, step: int, steps: int) -> None:
        del step, steps

    def image(self, item: Item, width: int, height: int) -> None:
        del width, height
        self.images.append(item.job)

    def failure(self, item: Item, error: WorkerError) -> None:
        del item
        self.failures.append(error)

    def log(self, level: Level, message: str) -> None:
        self.logs.append(f"{level}: {message}")

    def denoised(self, steps: StepSeconds, work: Work) -> None:
        self.steps, self.work = steps, work

    def wanted(self) -> frozenset[str]:
        return self.jobs
