"""What is run, in the order of its worth, so that whatever the time allows is what one would have wanted first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from kilnwatt_worker.parts import Params, Preset
from proof.catalogue import Entry
from proof.single import single_techniques

Kind: TypeAlias = Literal["plain", "compiled", "preset", "technique", "compiled batch"]

BATCHES = (1, 2, 4, 8)
COMPILED_BATCHES = (4, 8, 2)


@dataclass(frozen=True, slots=True)
class Family:
    """What pictures of a family are made with: the size that it was trained for, and the steps of published figures."""

    name: str
    params: Params
    short_steps: int
    """For all but the plain and the compiled preset at batch 1. Time by step and utilisation need no more."""


@dataclass(frozen=True, slots=True)
class Run:
    """Made twice with the same seeds: cold, and then warm with other prompts."""

    batch: int
    steps: int
    lora: int = 0
    """Which LoRA of random numbers; 0: none."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One load and what is made with it."""

    family: Family
    preset: Preset
    kind: Kind
    runs: tuple[Run, ...]
    plain: Preset
    """What its pictures are compared with."""

    @property
    def key(self) -> str:
        sizes = ",".join(str(run.batch) for run in self.runs)
        return f"{self.family.name} {self.preset.name} x{sizes}"


REAL: Mapping[str, Family] = {
    "sdxl": Family("sdxl", Params(1024, 1024, 30, 5.0, None, "dpmpp_2m", "karras", 0, "png"), 8),
    "flux": Family("flux", Params(1024, 1024, 28, 1.0, 3.5, "flow_match_euler", "normal", 0, "png"), 4),
    "sd": Family("sd", Params(512, 512, 20, 7.5, None, "dpmpp_2m", "karras", 0, "png"), 10),
}
SMALL: Mapping[str, Family] = {
    "sdxl": Family("sdxl", Params(64, 64, 3, 5.0, None, "dpmpp_2m", "karras", 0, "png"), 2),
    "flux": Family("flux", Params(64, 64, 3, 1.0, 3.5, "flow_match_euler", "normal", 0, "png"), 2),
    "sd": Family("sd", Params(64, 64, 3, 7.5, None, "dpmpp_2m", "karras", 0, "png"), 2),
}


def plan(
    families: Sequence[Family],
    catalogue: Sequence[Entry],
    device: str,
    memory_gb: float = math.inf,
    wanted: Sequence[str] = (),
) -> list[Visit]:
    """
    First each family plain and compiled, then its other presets, then techniques alone, then larger batches compiled.
    `memory_gb` is the card's. `wanted` are names of presets; empty: all.
    """
    stages: list[list[Visit]] = [[], [], [], [], []]
    for family in families:
        entries = [entry for entry in catalogue if entry.is_for(family.name, device)]
        plain, compiled = plain_of(entries), compiled_of(entries, memory_gb)
        others = [entry.preset for entry in entries if entry.preset not in (plain, compiled)]
        singles = single_techniques(family.name, device)
        first, short = Run(1, family.params.steps), family.short_steps
        stages[0].append(Visit(family, plain, "plain", (first, *(Run(size, short) for size in BATCHES)), plain))
        stages[1].append(Visit(family, compiled, "compiled", (first,), plain))
        stages[2] += [Visit(family, preset, "preset", (Run(1, short),), plain) for preset in others]
        stages[3] += [Visit(family, preset, "technique", _runs_of(preset, short), plain) for preset in singles]
        # One load each, because each size is compiled for itself, and that takes its time.
        stages[4] += [
            Visit(family, compiled, "compiled batch", (Run(size, short),), plain) for size in COMPILED_BATCHES
        ]
    ordered = [*stages[0], *stages[1], *_in_turn(stages[2]), *_in_turn(stages[3]), *_in_turn(stages[4])]
    return [visit for visit in ordered if not wanted or visit.preset.name in wanted]


def steps_to_compare(visits: Sequence[Visit], family: Family) -> list[int]:
    """Of plain pictures that visits of a family need and that no plain visit among them makes."""
    ours = [visit for visit in visits if visit.family == family]
    if any(visit.kind == "plain" for visit in ours):
        return []
    return sorted({run.steps for visit in ours for run in visit.runs if run.lora == 0})


def plain_of(entries: Sequence[Entry]) -> Preset:
    """The one that all others are compared with."""
    return next((entry.preset for entry in entries if entry.is_plain), Preset("proof-plain"))


def compiled_of(entries: Sequence[Entry], memory_gb: float) -> Preset:
    """
    That for the largest class of card up to this one, of those that compile in full, are exact and all resident; one of
    our own where there is none.
    """
    fitting = [one for one in entries if _only_compiles(one.preset) and (one.memory_gb or 0) <= memory_gb]
    best = max(fitting, key=lambda one: one.memory_gb or 0, default=None)
    return Preset("proof-full", compile="full") if best is None else best.preset


def _only_compiles(preset: Preset) -> bool:
    """Whatever else it does to prompts, to the sizes of batches and to the decode, the denoiser is the plain one."""
    rest = replace(preset, name="", compile="none", compile_mode="default", channels_last=False, vae_slicing=False)
    rest = replace(rest, dtype="auto", vae_dtype="auto", buckets=(), prompt_cache=0)
    return preset.compile == "full" and rest == Preset("")


def _runs_of(preset: Preset, steps: int) -> tuple[Run, ...]:
    return (Run(1, steps, lora=1), Run(1, steps, lora=2)) if preset.lora_rank else (Run(1, steps),)


def _in_turn(visits: Sequence[Visit]) -> list[Visit]:
    """The first of each family, then the second of each."""
    seen: dict[str, int] = {}
    ranked = []
    for place, visit in enumerate(visits):
        rank = seen.get(visit.family.name, 0)
        seen[visit.family.name] = rank + 1
        ranked.append((rank, place, visit))
    return [visit for _, _, visit in sorted(ranked, key=lambda one: one[:2])]
