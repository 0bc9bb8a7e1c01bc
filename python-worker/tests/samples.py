"""Requests that tests vary."""

from dataclasses import dataclass, field

from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.messages import Generate, Load
from kilnwatt_worker.parts import Item, Level, ModelRef, Params, Phase, Preset, StepSeconds, Work

PRESET = Preset("plain", dtype="float32")
PARAMS = Params(64, 64, 4, 5.0, None, "dpmpp_2m", "karras", 0, "png")
FLUX_PARAMS = Params(64, 64, 3, 1.0, 3.5, "flow_match_euler", "normal", 0, "png")


def load_of(path: object, preset: Preset = PRESET, family: str = "other") -> Load:
    return Load("engine-1", "cpu", ModelRef(str(path), family), preset)


def item(number: int, out: object = "", prompt: str = "", negative: str = "", seed: int | None = None) -> Item:
    text = prompt or f"a red circle and {number} blue stars"
    return Item(f"job-{number}", text, negative, 1000 + number if seed is None else seed, str(out))


def generate_of(items: list[Item], params: Params = PARAMS) -> Generate:
    return Generate("engine-1", "batch-1", params, tuple(items))


@dataclass
class Recorder:
    """A `Report` that keeps what it is told. `cancel_at` cancels everything at that step."""

    generate: Generate
    cancel_at: int | None = None
    phases: list[Phase] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)
    images: dict[str, tuple[int, int]] = field(default_factory=dict)
    failures: dict[str, WorkerError] = field(default_factory=dict)
    logs: list[tuple[Level, str]] = field(default_factory=list)
    took: list[tuple[StepSeconds, Work]] = field(default_factory=list)

    def phase(self, phase: Phase) -> None:
        self.phases.append(phase)

    def denoised(self, steps: StepSeconds, work: Work) -> None:
        self.took.append((steps, work))

    def progress(self, step: int, steps: int) -> None:
        self.steps.append((step, steps))

    def image(self, item: Item, width: int, height: int) -> None:
        self.images[item.job] = (width, height)

    def failure(self, item: Item, error: WorkerError) -> None:
        self.failures[item.job] = error

    def log(self, level: Level, message: str) -> None:
        self.logs.append((level, message))

    def wanted(self) -> frozenset[str]:
        if self.cancel_at is not None and len(self.steps) >= self.cancel_at:
            return frozenset()
        answered = {*self.images, *self.failures}
        return frozenset(item.job for item in self.generate.items if item.job not in answered)
