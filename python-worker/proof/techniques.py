"""
`bench-techniques`: what each technique does to the pictures of the model in the box, and to their time.

Every variant draws the same prompts with the same seeds as the plain pipeline; how far its pictures are from the plain
ones is told as PSNR, and how often they show what was asked for as prompt accuracy. Times are ratios: plain and variant
take turns within one run. Techniques that a processor cannot have in effect (offload to it, most kernels) are not here.
"""

import argparse
import json
import math
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy
import torch
from PIL import Image

from kilnwatt_worker.diffusers_engine.load import versions
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import LoraRef, Preset
from kilnwatt_worker.quality.compare import psnr
from kilnwatt_worker.quality.verdict import accuracy
from kilnwatt_worker.strict import build, read_json
from proof.loras import write_lora
from training.eval_shapes import BOX
from training.examination import Artist, examined_of, prompts_of

PLAIN = Preset("plain", dtype="float32")
BATCH = 8
SIZE = 128
EXACT_DB = 40.0
"""What a technique that claims to be exact must keep."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Named as in `techniques.json`, where there is one of the kind; `exact` is what is claimed of it."""

    name: str
    changed: Mapping[str, object]
    exact: bool
    batch: int = BATCH
    size: int = SIZE
    """Pixels a side; the model in the box draws well at its own size only, so others say nothing of accuracy."""
    swaps: bool = False
    """Both draw with a LoRA of random numbers, this one in room that another one had before."""


VARIANTS: Sequence[Variant] = (
    Variant("attention-sdpa-math", {"attention": "sdpa_math"}, True),
    Variant("attention-sdpa-flash", {"attention": "sdpa_flash"}, True),
    Variant("attention-sliced", {"attention": "sliced"}, True),
    Variant("fused-qkv-true", {"fused_qkv": True}, True),
    Variant("channels-last-true", {"channels_last": True}, True),
    Variant("offload-text-encoders", {"offload": "text_encoders"}, True),
    Variant("vae-slicing-true", {"vae_slicing": True}, True),
    Variant("buckets-any", {"buckets": [1, 2, 4, 8]}, True, batch=3),
    Variant("prompt-cache-any", {"prompt_cache": 256}, True),
    Variant("compile-regional", {"compile": "regional"}, True),
    Variant("compile-full", {"compile": "full"}, True),
    Variant("batches", {}, True, batch=1),
    Variant("lora-rank-any", {"lora_rank": 16}, True, swaps=True),
    Variant("vae-tiling-true", {"vae_tiling": True}, False, size=256),
    Variant("dtype-bfloat16", {"dtype": "bfloat16"}, False),
    Variant("vae-dtype-bfloat16", {"vae_dtype": "bfloat16"}, False),
    Variant("vae-dtype-float16", {"vae_dtype": "float16"}, False),
    Variant("quantize-int8-weights", {"quantize": "int8_weights"}, False),
    Variant("quantize-int8-dynamic", {"quantize": "int8_dynamic"}, False),
    Variant("quantize-nf4", {"quantize": "nf4"}, False),
    Variant("quantize-fp8-storage", {"quantize": "fp8_storage"}, False),
    Variant("quantize-text-int8-weights", {"quantize_text": "int8_weights"}, False),
    Variant("quantize-text-nf4", {"quantize_text": "nf4"}, False),
    Variant("step-cache-deepcache", {"step_cache": "deepcache", "step_cache_strength": 2.0}, False),
    Variant("step-cache-strength-any", {"step_cache": "deepcache", "step_cache_strength": 3.0}, False),
)


def main() -> int:
    options = argparse.ArgumentParser(
        prog="bench-techniques",
        description=__doc__,
        epilog="Exit codes: 0 what claims to be exact is, 1 something is not, or is refused or downgraded, 2 a bad "
        "argument.",
    )
    options.add_argument("--prompts", type=int, default=48, help="default: %(default)s")
    options.add_argument("--rounds", type=int, default=5, help="of timing; default: %(default)s")
    options.add_argument("--steps", type=int, help="of a picture; default: as the model ships")
    options.add_argument("--only", default="", help="names of variants, or beginnings of them, by commas")
    options.add_argument("--record", type=Path, help="a JSON file to write the figures to")
    asked = options.parse_args()
    begins = tuple(name for name in asked.only.split(",") if name)
    variants = [variant for variant in VARIANTS if not begins or variant.name.startswith(begins)]
    if not variants or min(asked.prompts, asked.rounds, asked.steps or 1) < 1:
        options.error(f"nothing to measure; variants are {', '.join(variant.name for variant in VARIANTS)}")
    bench = Bench(prompts_of(0, asked.prompts, 0), asked.rounds, asked.steps)
    rows = [told(bench.row_of(variant)) for variant in variants]
    if asked.record is not None:
        asked.record.write_text(json.dumps(record_of(bench, rows), indent=2) + "\n", encoding="utf-8")
    return exit_code(rows)


def exit_code(rows: Sequence[Mapping[str, object]]) -> int:
    return 0 if all(row["holds"] is not False for row in rows) else 1


class Bench:
    """The plain pipeline, and what it drew."""

    def __init__(self, prompts: Sequence[str], rounds: int, steps: int | None = None) -> None:
        self.prompts = prompts
        self._rounds = rounds
        self._steps = steps
        self._plain = self._artist(PLAIN)
        self._drawn = {(SIZE, False): _draw(self._plain, prompts, BATCH, SIZE)}
        self.accuracy = _accuracy(prompts, self._drawn[SIZE, False])

    def row_of(self, variant: Variant) -> dict[str, object]:
        """
        `holds`: whether an exact one is as near as it claims, which one that is refused or downgraded is not; of a
        lossy one None.
        """
        about: dict[str, object] = {"name": variant.name, "exact": variant.exact, "batch": variant.batch}
        try:
            if not variant.swaps:
                return {**about, **self._measured(variant, [])}
            with tempfile.TemporaryDirectory() as folder:
                files = [write_lora(BOX, Path(folder) / f"{seed}.safetensors", seed) for seed in (1, 2)]
                return {**about, **self._measured(variant, files)}
        except WorkerError as error:
            return {**about, "holds": False if variant.exact else None, "refused": error.message}
        finally:
            _take(self._plain, None)

    def _measured(self, variant: Variant, loras: Sequence[Path]) -> dict[str, object]:
        artist = self._artist(preset_of(variant))
        for file in loras:  # the last one stays; the one before was in its place
            _take(artist, file)
            _draw(artist, self.prompts[:1], 1, variant.size)
        _take(self._plain, loras[-1] if loras else None)
        if (variant.size, variant.swaps) not in self._drawn:
            self._drawn[variant.size, variant.swaps] = _draw(self._plain, self.prompts, BATCH, variant.size)
        plain = self._drawn[variant.size, variant.swaps]
        drawn = _draw(artist, self.prompts, variant.batch, variant.size)
        away = [psnr(numpy.asarray(one), numpy.asarray(other)) for one, other in zip(plain, drawn, strict=True)]
        downgrades = [f"{each.setting}: {each.reason}" for each in artist.facts.downgrades]
        return {
            "holds": min(away) >= EXACT_DB and not downgrades if variant.exact else None,
            "in_effect": {name: artist.facts.settings.get(name) for name in variant.changed},
            "downgrades": downgrades,
            "psnr_db": {"worst": _finite(min(away)), "median": _finite(median(away))},
            "accuracy": _accuracy(self.prompts, drawn) if variant.size == SIZE and not loras else None,
            "seconds_ratio": self._ratio(artist, variant),
            "weights_bytes": sum(artist.facts.weights.values()),
        }

    def _artist(self, preset: Preset) -> Artist:
        artist = Artist(BOX, "cpu", preset)
        artist.params = replace(artist.params, steps=self._steps or artist.params.steps)
        return artist

    def _ratio(self, artist: Artist, variant: Variant) -> float:
        """Seconds of the variant over those of plain, with batches of its size; the median of turns."""
        ratios = []
        for _ in range(self._rounds):
            plain, other = (_seconds(each, self.prompts, variant) for each in (self._plain, artist))
            ratios.append(other / plain)
        return round(median(ratios), 3)


def preset_of(variant: Variant) -> Preset:
    """Built as from the wire, so that a misspelt field is refused."""
    return build(Preset, read_json(json.dumps({**asdict(PLAIN), "name": variant.name, **variant.changed})))


def record_of(bench: Bench, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{torch.get_num_threads()} threads, {platform.machine()}, no GPU",
        "versions": versions(),
        "model": BOX.name,
        "prompts": len(bench.prompts),
        "plain_accuracy": bench.accuracy,
        "variants": list(rows),
    }


def told(row: dict[str, object]) -> dict[str, object]:
    if "refused" in row:
        print(f"{row['name']:28} {_verdict(row)}refused: {row['refused']}")
    else:
        print(
            f"{row['name']:28} {_verdict(row)}{row['psnr_db']} dB, accuracy {row['accuracy']}, "
            f"{row['seconds_ratio']} of plain's seconds {'; '.join(map(str, _list(row['downgrades'])))}"
        )
    return row


def _verdict(row: Mapping[str, object]) -> str:
    return "DOES NOT HOLD: " if row["holds"] is False else ""


def _take(artist: Artist, lora: Path | None) -> None:
    """For all that it draws from now on."""
    loras = () if lora is None else (LoraRef(lora.stem, str(lora), 1.0),)
    artist.params = replace(artist.params, loras=loras)


def _draw(artist: Artist, prompts: Sequence[str], batch: int, size: int) -> list[Image.Image]:
    """The seed of a prompt is its number."""
    drawn: list[Image.Image] = []
    for start in range(0, len(prompts), batch):
        some = prompts[start : start + batch]
        drawn.extend(artist.draw(some, range(start, start + len(some)), (size, size)))
    return drawn


def _accuracy(prompts: Sequence[str], drawn: Sequence[Image.Image]) -> float:
    verdicts = [examined_of(prompt, picture).verdict for prompt, picture in zip(prompts, drawn, strict=True)]
    return round(accuracy(verdicts)["all"] or 0.0, 4)


def _seconds(artist: Artist, prompts: Sequence[str], variant: Variant) -> float:
    some = [prompts[number % len(prompts)] for number in range(variant.batch)]
    started = time.perf_counter()
    artist.draw(some, range(variant.batch), (variant.size, variant.size))
    return time.perf_counter() - started


def _finite(value: float) -> float | None:
    """None: the pictures are equal."""
    return None if math.isinf(value) else round(value, 1)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


if __name__ == "__main__":
    sys.exit(main())
