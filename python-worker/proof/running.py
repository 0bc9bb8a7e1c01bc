"""One visit: a load with a preset, and batches with it, as the worker's loop would do them."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.energy import EnergyWindow
from kilnwatt_worker.engine import Usage
from kilnwatt_worker.errors import DEVICE_LOST, WorkerError, internal
from kilnwatt_worker.messages import Generate, Load
from kilnwatt_worker.parts import Item, Level, LoraRef, ModelRef
from proof.loras import write_lora
from proof.plan import Run, Visit
from proof.report import KeptReport

Case: TypeAlias = dict[str, object]
Picture: TypeAlias = NDArray[np.uint8]
Integral: TypeAlias = Callable[[float, float], int | None]
"""Millijoules between two moments of the monotonic clock."""

ROLES = ("cold", "warm")
PROMPTS = ("a red circle and two blue stars", "a green house by the sea", "an old tree in the snow", "a portrait")
OUTCOMES = {
    "preset_impossible": "refused",
    "preset_package_missing": "refused",
    "model_unsupported": "refused",
    "out_of_memory": "out of memory",
}
"""Of errors that are an answer. Any other is a defect: a preset that silently does not hold is one too."""


@dataclass(frozen=True, slots=True)
class Runner:
    engine: DiffusersEngine
    device: str
    folders: Mapping[str, Path]
    pictures: Path
    integral: Integral
    plain: dict[tuple[str, int, str], Picture] = field(default_factory=dict)
    """The first picture of the plain preset by family, steps and role, which others are compared with."""

    def visit(self, visit: Visit, case: Case) -> None:
        """
        Fills the case as it goes, so that one that is cut off says how far it came. Raises WorkerError when the device
        is lost. `unload` is to follow, whatever happens.
        """
        case.update(outcome="stopped", runs=[])
        try:
            self._load(visit, case)
            runs: list[Case] = []
            case["runs"] = runs
            for run in visit.runs:
                for role in ROLES:
                    runs.append({"role": role, "batch": run.batch, "steps": run.steps, "lora": run.lora})
                    self._run(visit, run, role, runs[-1])
            case["outcome"] = "downgraded" if case["downgrades"] else "in effect"
        except WorkerError as error:
            case.update(outcome=outcome_of(error), code=error.code, reason=error.message)
            if error.code == DEVICE_LOST:
                raise

    def has_plain(self, family: str, steps: int) -> bool:
        return all((family, steps, role) in self.plain for role in ROLES)

    def unload(self, case: Case) -> None:
        began = time.monotonic()
        if "torch._dynamo" in sys.modules:
            # Each preset compiles for itself; what others left would count against the limit of recompiles.
            sys.modules["torch._dynamo"].reset()
        self.engine.unload()
        case["unload_seconds"] = time.monotonic() - began

    def _load(self, visit: Visit, case: Case) -> None:
        logs: list[str] = []
        case["logs"] = logs

        def log(level: Level, message: str) -> None:
            logs.append(f"{level}: {message}")

        model = ModelRef(str(self.folders[visit.family.name]), visit.family.name)
        window, began = self.engine.window(self.device), time.monotonic()
        try:
            facts = self.engine.load(Load("proof", self.device, model, visit.preset), log)
        except WorkerError:
            raise
        except Exception as error:
            raise internal(error) from error
        case.update(settings=facts.settings, downgrades=facts.downgrades, weights=facts.weights)
        case["load"] = self._took(window.close(), began, 1)

    def _run(self, visit: Visit, run: Run, role: str, told: Case) -> None:
        names = [str(self.pictures / f"{number}.png") for number in range(run.batch)]
        items = [Item(f"job-{n}", prompt_of(role, n), "", 1000 + n, name) for n, name in enumerate(names)]
        params = replace(visit.family.params, steps=run.steps, loras=self._loras(visit, run))
        report = KeptReport(frozenset(item.job for item in items))
        window, began = self.engine.window(self.device), time.monotonic()
        try:
            self.engine.generate(Generate("proof", "proof", params, tuple(items)), report)
        except WorkerError:
            raise
        except Exception as error:
            raise internal(error) from error
        report.phase("idle")
        told.update(self._took(window.close(), began, run.batch))
        told.update(phases=report.seconds, step_seconds=report.steps, work=report.work, logs=report.logs)
        if report.failures:
            raise report.failures[0]
        if run.lora == 0:
            self._compare(visit, run, role, names[0], told)

    def _loras(self, visit: Visit, run: Run) -> tuple[LoraRef, ...]:
        if run.lora == 0:
            return ()
        file = self.pictures / f"{visit.family.name}-{run.lora}.safetensors"
        if not file.exists():
            write_lora(self.folders[visit.family.name], file, run.lora)
        return (LoraRef(f"random-{run.lora}", str(file), 1.0),)

    def _compare(self, visit: Visit, run: Run, role: str, name: str, told: Case) -> None:
        with Image.open(name) as opened:
            picture: Picture = np.asarray(opened.convert("RGB"))
        reference = self.plain.get((visit.family.name, run.steps, role))
        if reference is None:
            if visit.kind == "plain" and run.batch == 1:
                self.plain[visit.family.name, run.steps, role] = picture
            return
        told["psnr_to_plain_db"] = psnr(picture, reference)
        told["equals_plain"] = bool((picture == reference).all())

    def _took(self, usage: Usage, began: float, images: int) -> Case:
        ended = time.monotonic()
        energy = {"counter_mj": _counted(usage.energy.window), "integral_mj": self.integral(began, ended)}
        seconds = ended - began
        return {"seconds": seconds, "seconds_per_image": seconds / images, "memory": usage.memory, "energy": energy}


def _counted(window: EnergyWindow | None) -> int | None:
    """By the card's counter alone; None where it has none, or fell."""
    ends = None if window is None else window.counter
    return None if ends is None or ends.to_mj < ends.from_mj else ends.to_mj - ends.from_mj


def outcome_of(error: WorkerError) -> str:
    return OUTCOMES.get(error.code, "failed")


def prompt_of(role: str, number: int) -> str:
    """No two of a role are the same, nor those of two roles, or a cache of prompts would leave encoding out."""
    return f"{PROMPTS[number % len(PROMPTS)]}, {role} {number}"


def psnr(one: Picture, other: Picture) -> float:
    """In dB; infinite for equal pictures."""
    error = float(((one.astype(np.float64) - other.astype(np.float64)) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
