"""What the denoising of a batch took: time by step, and the denoiser's work."""

import time
from statistics import median

from kilnwatt_worker.diffusers_engine import compiled
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline
from kilnwatt_worker.parts import Params, StepSeconds, Work


class DenoiseMeter:
    """Opened before the first step; `step` is told at the end of each."""

    def __init__(self, loaded: LoadedPipeline, params: Params, rows: int) -> None:
        del loaded, params, rows
        self._graphs = compiled.graphs()
        self._marks = [time.perf_counter()]

    def step(self) -> None:
        self._marks.append(time.perf_counter())

    def steps(self) -> StepSeconds:
        took = [after - before for before, after in zip(self._marks, self._marks[1:], strict=False)]
        return StepSeconds(len(took), took[0], median(took), max(took))

    def work(self) -> Work:
        return Work(teraflops=None, calls=0, mfu=None, graphs=compiled.graphs() - self._graphs, cached_prompts=0)
