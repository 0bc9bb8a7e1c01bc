"""The answers of one batch: exactly one an item, whatever the engine does."""

import os
from collections.abc import Callable

from kilnwatt_worker.cancellations import Cancellations
from kilnwatt_worker.channel import Channel
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.messages import Cancelled, Failure, Generate, Image, Log, Progress
from kilnwatt_worker.parts import Item, Level, Phase, PhaseSeconds, StepSeconds, Work

PROGRESS_EVERY_SECONDS = 0.2


class BatchReport:
    """Implements `engine.Report`. `on_phase` tells the heartbeat what goes on."""

    def __init__(
        self,
        generate: Generate,
        channel: Channel,
        cancellations: Cancellations,
        on_phase: Callable[[Phase], None],
        clock: Callable[[], float],
    ) -> None:
        self._batch = generate.batch
        self._unanswered = {item.job: item for item in generate.items}
        self._channel = channel
        self._cancellations = cancellations
        self._on_phase = on_phase
        self._clock = clock
        self._phase: Phase = "idle"
        self._since = clock()
        self._next_progress = self._since
        self._seconds: dict[Phase, float] = {}
        self.steps: StepSeconds | None = None
        self.work: Work | None = None

    def phase(self, phase: Phase) -> None:
        now = self._clock()
        self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now
        self._on_phase(phase)

    def progress(self, step: int, steps: int) -> None:
        now = self._clock()
        if now >= self._next_progress:
            self._next_progress = now + PROGRESS_EVERY_SECONDS
            self._channel.send(Progress(self._batch, self._phase, step, steps))

    def image(self, item: Item, width: int, height: int) -> None:
        try:
            size = os.path.getsize(item.out)
        except OSError as error:  # removed behind our back, as with its folder; the neighbours go on
            reason = error.strerror or type(error).__name__
            gone = f"the picture {item.out} is gone after saving: {reason}"
            self.failure(item, WorkerError("not_writable", gone, retryable=True))
            return
        self._answered(item)
        self._channel.send(Image(self._batch, item.job, item.out, width, height, size))

    def failure(self, item: Item, error: WorkerError) -> None:
        self._answered(item)
        self._channel.send(Failure(self._batch, item.job, error.code, error.message, error.retryable, None))

    def log(self, level: Level, message: str) -> None:
        self._channel.send(Log(level, message))

    def denoised(self, steps: StepSeconds, work: Work) -> None:
        self.steps, self.work = steps, work

    def wanted(self) -> frozenset[str]:
        self._leave_out_cancelled()
        return frozenset(self._unanswered)

    def settle(self, error: WorkerError | None) -> PhaseSeconds:
        """Answers whatever is left: the cancelled jobs as such, the others with the error."""
        self.phase("idle")
        self._leave_out_cancelled()
        left = error or WorkerError("internal", "the engine ended the batch without an answer for this job")
        for item in tuple(self._unanswered.values()):
            self.failure(item, left)
        return PhaseSeconds(
            encode=self._seconds.get("encode", 0.0),
            denoise=self._seconds.get("denoise", 0.0),
            decode=self._seconds.get("decode", 0.0),
            save=self._seconds.get("save", 0.0),
        )

    def _leave_out_cancelled(self) -> None:
        """Told at once: whoever cancelled one job of many would wait for the others else."""
        given_up = self._cancellations.of(self._batch)
        cancelled = tuple(job for job in self._unanswered if job in given_up)
        if cancelled:
            for job in cancelled:
                del self._unanswered[job]
            self._channel.send(Cancelled(self._batch, cancelled))

    def _answered(self, item: Item) -> None:
        if self._unanswered.pop(item.job, None) is None:
            raise WorkerError("internal", f"the engine answered job {item.job} twice")
