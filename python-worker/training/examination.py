"""
How well a model keeps the contract of its prompts: pictures of held-out combinations by our own engine, as a run
would make them, described by the checker without their prompts.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median

from PIL import Image
from tqdm import tqdm

from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.messages import Generate, Load
from kilnwatt_worker.parts import Item, Level, ModelRef, Params, Phase, Preset, StepSeconds, Work
from kilnwatt_worker.quality.describe import Seen, describe
from kilnwatt_worker.quality.prompt import Asked, read
from kilnwatt_worker.quality.verdict import Verdict, judge
from training.captions import contract
from training.scenes import lone, pair, scene_for_examination

SINGLES, PAIRS = 300, 100
BATCH = 8
ROUNDS = 9
PRESET = Preset("fp32", dtype="float32")
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Examined:
    prompt: str
    asked: Asked
    seen: Seen
    verdict: Verdict


@dataclass(slots=True)
class _Waiting:
    """The loop's side of a batch: answers come in, nothing is cancelled."""

    jobs: set[str]

    def phase(self, phase: Phase) -> None: ...

    def progress(self, step: int, steps: int) -> None: ...

    def image(self, item: Item, width: int, height: int) -> None:
        self.jobs.remove(item.job)

    def failure(self, item: Item, error: WorkerError) -> None:
        raise error

    def log(self, level: Level, message: str) -> None: ...

    def denoised(self, steps: StepSeconds, work: Work) -> None: ...

    def wanted(self) -> frozenset[str]:
        return frozenset(self.jobs)


class Artist:
    """A loaded model, with the size and the settings that it ships with."""

    def __init__(self, model: Path, device: str, preset: Preset = PRESET) -> None:
        """Raises WorkerError where the model cannot be loaded, ValueError where it is not one that was trained here."""
        if not model.is_dir():
            raise ValueError(f"there is no folder {model}")
        own = model / "kilnwatt.json"
        if not own.is_file():
            raise ValueError(f"{own} is missing: this is no model that train-shapes wrote")
        try:
            settings = json.loads(own.read_text(encoding="utf-8"))
            width, height = map(int, settings["native_size"])
            steps, guidance = int(settings["defaults"]["steps"]), float(settings["defaults"]["guidance"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{own} names no native_size, steps and guidance: train-shapes did not write it"
            ) from error
        self.params = Params(width, height, steps, guidance, None, "dpmpp_2m", "normal", 0, "png")
        self._engine = DiffusersEngine()
        self._engine.load(Load("examined", device, ModelRef(str(model), "sd"), preset), _silent)

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        size: tuple[int, int] | None = None,
        steps: int | None = None,
    ) -> list[Image.Image]:
        """One batch. `size` is (width, height) in pixels; what is not given is as shipped."""
        width, height = size or (self.params.width, self.params.height)
        params = replace(self.params, width=width, height=height, steps=steps or self.params.steps)
        with tempfile.TemporaryDirectory() as folder:
            outs = [Path(folder) / f"{number}.png" for number in range(len(prompts))]
            items = tuple(
                Item(str(number), prompt, "", seed, str(out))
                for number, (prompt, seed, out) in enumerate(zip(prompts, seeds, outs, strict=True))
            )
            waiting = _Waiting({item.job for item in items})
            self._engine.generate(Generate("examined", "batch", params, items), waiting)
            return [Image.open(out).copy() for out in outs]


def prompts_of(seed: int, singles: int = SINGLES, pairs: int = PAIRS) -> list[str]:
    """In the contract's wording, each with a held-out combination: `singles` of one thing, then `pairs`."""
    kinds = ((lone, singles, Random(f"singles {seed}")), (pair, pairs, Random(f"pairs {seed}")))
    return [contract(scene_for_examination(rng, make)) for make, count, rng in kinds for _ in range(count)]


def examine(artist: Artist, prompts: Sequence[str], keep: Path | None = None) -> list[Examined]:
    """The seed of a prompt is its number. `keep`: a folder, which exists, for the pictures that are not right."""
    examined: list[Examined] = []
    for start in tqdm(range(0, len(prompts), BATCH), desc=f"batches of {BATCH} pictures", mininterval=1):
        some = prompts[start : start + BATCH]
        for prompt, picture in zip(some, artist.draw(some, range(start, start + len(some))), strict=True):
            examined.append(examined_of(prompt, picture))
            if keep is not None and not examined[-1].verdict.right:
                picture.save(keep / f"{len(examined) - 1:03} {prompt}.png")
    return examined


def examined_of(prompt: str, picture: Image.Image) -> Examined:
    asked = read(prompt)
    if asked is None:
        raise ValueError(f"the prompt cannot be judged: {prompt}")
    seen = describe(picture)
    return Examined(prompt, asked, seen, judge(asked, seen))


def confusion(examined: Sequence[Examined], what: str) -> Counter[tuple[str, str]]:
    """How often `what` (`shape`, `color`) was asked for and what was seen then, over pictures of one thing."""
    counts: Counter[tuple[str, str]] = Counter()
    for each in examined:
        if len(each.asked.things) == 1:
            seen = getattr(each.seen.things[0], what) if len(each.seen.things) == 1 else None
            counts[getattr(each.asked.things[0], what), seen or UNKNOWN] += 1
    return counts


def seconds_a_picture(artist: Artist, batch: int) -> float:
    """The median of some rounds, after one that warms up; all of it, from the prompt to the file."""
    prompts, times = ["a red circle on a blue background"] * batch, []
    for _ in tqdm(range(ROUNDS + 1), desc=f"seconds, {batch} at once", mininterval=1):
        started = time.monotonic()
        artist.draw(prompts, range(batch))
        times.append((time.monotonic() - started) / batch)
    return median(times[1:])


def _silent(level: Level, message: str) -> None: ...
