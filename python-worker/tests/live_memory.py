"""
What models really hold in memory, by the count of live storages.

`python -m tests.live_memory` reads cases, one JSON object a line, makes their pictures on the CPU with the real engine,
and answers each with a line: the peak of each phase, the preset's settings in effect, and whether it ran out of memory,
where the case has a limit; or why it was refused.
`python -m tests.live_memory --record FILE` writes the peaks of the full-size architectures.
"""

import dataclasses
import gc
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.prompt_cache import PromptCache, cache_of
from kilnwatt_worker.errors import OutOfMemory, WorkerError
from kilnwatt_worker.messages import Generate
from kilnwatt_worker.parts import Params, Phase, Preset
from tests.full_size import ARCHITECTURES, parameters_of, peaks_of
from tests.live_storages import LiveStorages
from tests.samples import Recorder, item, load_of

_SIZES = ((512, 512), (1024, 1024))
_ROWS = (1, 2, 4)
_DTYPES = {"float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True, slots=True)
class Case:
    model: str
    settings: dict[str, Any]
    """Those fields of a preset that are not neutral."""
    width: int
    height: int
    batch: int
    guided: bool
    limit: int | None


@dataclass
class Watcher(Recorder):
    """Takes the peak at the end of each phase."""

    count: LiveStorages = dataclasses.field(default_factory=lambda: LiveStorages("cpu"))
    peaks: dict[str, int] = dataclasses.field(default_factory=dict)
    now: Phase = "load"

    def phase(self, phase: Phase) -> None:
        self.close()
        self.now = phase

    def close(self) -> None:
        self.peaks[self.now] = max(self.peaks.get(self.now, 0), self.count.take_peak())


class Bench:
    """Keeps the engine for as long as cases ask for the same one without a limit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine = DiffusersEngine()
        self._count = LiveStorages("cpu")
        self._loaded: object = None
        self._settings: dict[str, object] = {}
        self._load_peak = 0

    def measure(self, case: Case) -> dict[str, object]:
        generate = generate_of(case, self._folder)
        self._renew(case)
        watcher = Watcher(generate, count=self._count)
        ran_out = False
        with torch.no_grad(), self._count:
            try:
                self._ensure(case)
                self._engine.generate(generate, watcher)
            except OutOfMemory:
                ran_out, self._loaded = True, None
            except WorkerError as error:
                return {"refused": str(error)}
            watcher.close()
        failed = next(iter(watcher.failures.values()), None)
        if failed is not None:
            raise failed
        watcher.peaks["load"] = self._load_peak
        return {"peaks": watcher.peaks, "settings": self._settings, "ran_out": ran_out}

    def _renew(self, case: Case) -> None:
        if self._loaded != (case.model, case.settings) or case.limit is not None:
            self._loaded = None
            self._engine.unload()
            gc.collect()
            self._count = LiveStorages("cpu", case.limit)

    def _ensure(self, case: Case) -> None:
        if self._loaded is not None:
            self._forget_prompts()
            return
        preset = Preset("measured", **case.settings)
        facts = self._engine.load(load_of(case.model, preset), lambda _level, _message: None)
        self._settings = dict(facts.settings)
        # What was read straight from a file came by no operation of torch.
        loaded = self._engine._loaded
        assert loaded is not None
        for part in loaded.pipe.components.values():
            if isinstance(part, torch.nn.Module):
                self._count.adopt((*part.parameters(), *part.buffers()))
        self._load_peak = self._count.take_peak()
        self._loaded = (case.model, case.settings) if case.limit is None else None

    def _forget_prompts(self) -> None:
        """Those of the case before, which would neither be encoded again nor be gone."""
        loaded = self._engine._loaded
        assert loaded is not None
        loaded.pipe.prompt_cache = PromptCache(cache_of(loaded.pipe).kept)


def generate_of(case: Case, folder: Path) -> Generate:
    guidance = 5.0 if case.guided else 1.0
    flux = (Path(case.model) / "transformer").is_dir()
    scheduler = ("flow_match_euler", "normal") if flux else ("dpmpp_2m", "karras")
    params = Params(case.width, case.height, 1, guidance, 3.5 if flux else None, *scheduler, 0, "png")
    items = tuple(item(number, folder / f"{number}.png") for number in range(case.batch))
    return Generate("engine-1", "batch-1", params, items)


def recorded() -> dict[str, object]:
    """Bytes beside the weights, by architecture, dtype, size and rows, and the parameters that prove the configs."""
    return {
        "made": "python -m tests.live_memory --record, diffusers' classes on the meta device",
        "parameters": {
            name: {
                "denoiser": parameters_of(one.denoiser),
                "vae": parameters_of(one.vae),
                "encoders": [parameters_of(make) for make in one.encoders],
            }
            for name, one in ARCHITECTURES.items()
        },
        "peaks": list(_full_size()),
    }


def _full_size() -> Iterator[dict[str, object]]:
    for name, architecture in ARCHITECTURES.items():
        for dtype, kind in _DTYPES.items():
            for width, height in _SIZES:
                for rows in _ROWS:
                    peaks = peaks_of(architecture, kind, (width, height), rows)
                    case = {"model": name, "dtype": dtype, "width": width, "height": height, "rows": rows}
                    yield {**case, **dataclasses.asdict(peaks)}


def main() -> None:
    if sys.argv[1:2] == ["--record"]:
        Path(sys.argv[2]).write_text(json.dumps(recorded(), indent=1) + "\n", encoding="utf-8")
        return
    torch.set_num_threads(1)
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"  # what other threads allocate is not seen
    gc.freeze()  # what is imported by now is no garbage, and is not looked through at each unload
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for line in sys.stdin:
            print(json.dumps(bench.measure(Case(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
