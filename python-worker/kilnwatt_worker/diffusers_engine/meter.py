"""What the denoising of a batch took: time by step, and the denoiser's work."""

from statistics import median
from types import TracebackType
from typing import Protocol

import torch

from kilnwatt_worker.diffusers_engine import compiled
from kilnwatt_worker.diffusers_engine.core import CoreWatch
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline
from kilnwatt_worker.diffusers_engine.stopwatch import stopwatch
from kilnwatt_worker.engine import LogTo
from kilnwatt_worker.mfu import Arithmetic, peak_teraflops, utilisation
from kilnwatt_worker.parts import Params, StepSeconds, Work


class Stopwatch(Protocol):
    """Notes moments without waiting for the device, and tells the seconds between them afterwards."""

    def mark(self) -> None: ...

    def seconds(self) -> list[float]: ...


class DenoiseMeter:
    """Opened before the first step; `step` is told at the end of each, and the figures after the device is done."""

    def __init__(
        self, loaded: LoadedPipeline, params: Params, rows: int, teraflops_a_row: float | None, log: LogTo
    ) -> None:
        """`rows` are pictures; with guidance a UNet takes two rows for each, and Flux is called twice."""
        self._loaded = loaded
        self._params = params
        self._rows = rows
        self._teraflops_a_row = teraflops_a_row
        self._log = log
        self._graphs = compiled.graphs()
        self._core = CoreWatch(loaded)
        self._watch: Stopwatch = stopwatch(loaded.device)
        self._watch.mark()

    def __enter__(self) -> "DenoiseMeter":
        self._core.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._core.end()

    def step(self) -> None:
        self._watch.mark()

    def steps(self) -> StepSeconds:
        took = self._watch.seconds()
        return StepSeconds(len(took), took[0], median(took), max(took))

    def work(self, cached_prompts: int = 0) -> Work:
        took = self._watch.seconds()
        calls, rows = self._core.seen() or self._expected(len(took))
        teraflops = None if self._is_unseen() or self._teraflops_a_row is None else self._teraflops_a_row * rows
        return Work(
            teraflops=teraflops,
            calls=calls,
            mfu=None if teraflops is None else told_mfu(teraflops, sum(took), _peak_of(self._loaded), self._log),
            graphs=compiled.graphs() - self._graphs,
            cached_prompts=cached_prompts,
        )

    def _expected(self, steps: int) -> tuple[int, int]:
        """Calls and rows when no step is left out."""
        guided = self._params.guidance > 1
        if self._loaded.family == "flux":
            calls = steps * 2 if guided else steps
            return calls, calls * self._rows
        return steps, steps * self._rows * (2 if guided else 1)

    def _is_unseen(self) -> bool:
        """Steps may be left out, and the core is inside compiled code, where nobody can count."""
        return self._core.seen() is None and self._loaded.settings.get("step_cache", "none") != "none"


def told_mfu(teraflops: float, seconds: float, peak: float | None, log: LogTo) -> float | None:
    """None as well where it would be over 1, which is said: then the work, the time or the peak is wrong."""
    mfu = None if peak is None else utilisation(teraflops, seconds, peak)
    if mfu is not None and mfu > 1:
        log(
            "warning",
            f"an MFU of {mfu:.0%} is invalid and left out: {teraflops:.4g} TFLOP in {seconds:.4g} s are more than "
            f"the {peak:.4g} TFLOP/s that the card has",
        )
        return None
    return mfu


def _peak_of(loaded: LoadedPipeline) -> float | None:
    if loaded.device.type != "cuda":
        return None
    settings = loaded.settings
    arithmetic = Arithmetic(
        dtype=str(settings.get("dtype")),
        fp16_accumulation=bool(settings.get("fp16_accumulation", False)),
        tf32=bool(settings.get("tf32", False)),
        quantize=str(settings.get("quantize", "none")),
    )
    return peak_teraflops(torch.cuda.get_device_name(loaded.device), arithmetic)
