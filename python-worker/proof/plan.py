"""What is run, in the order of its worth, so that whatever the time allows is what one would have wanted first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from kilnwatt_worker.parts import Params, Preset
from proof.catalogue import Entry

Kind: TypeAlias = Literal["plain", "compiled", "preset", "compiled batch"]

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
    """Made twice with the same seeds: cold, and then warm."""

    batch: int
    steps: int


@dataclass(frozen=True, slots=True)
class Visit:
    """One load and what is made with it."""

    family: Family
    preset: Preset
    kind: Kind
    runs: tuple[Run, ...]

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
    families: Sequence[Family], catalogue: Sequence[Entry], device: str, wanted: Sequence[str] = ()
) -> list[Visit]:
    """
    First each family plain and compiled, then its other presets, then larger batches compiled. `wanted` are names of
    presets; empty: all.
    """
    stages: list[list[Visit]] = [[], [], [], []]
    for family in families:
        entries = [entry for entry in catalogue if entry.is_for(family.name, device)]
        plain, compiled = plain_of(entries), compiled_of(entries)
        others = [entry.preset for entry in entries if entry.preset not in (plain, compiled)]
        first, short = Run(1, family.params.steps), family.short_steps
        stages[0].append(Visit(family, plain, "plain", (first, *(Run(size, short) for size in BATCHES))))
        stages[1].append(Visit(family, compiled, "compiled", (first,)))
        stages[2] += [Visit(family, preset, "preset", (Run(1, short),)) for preset in others]
        # One load each, because each size is compiled for itself, and that takes its time.
        stages[3] += [Visit(family, compiled, "compiled batch", (Run(size, short),)) for size in COMPILED_BATCHES]
    ordered = [*stages[0], *stages[1], *_in_turn(stages[2]), *_in_turn(stages[3])]
    return [visit for visit in ordered if not wanted or visit.preset.name in wanted]


def plain_of(entries: Sequence[Entry]) -> Preset:
    """The one that all others are compared with."""
    return next((entry.preset for entry in entries if entry.is_plain), Preset("proof-plain"))


def compiled_of(entries: Sequence[Entry]) -> Preset:
    """The first that compiles in full, is exact and all resident; one of our own where there is none."""
    return next(
        (entry.preset for entry in entries if _only_compiles(entry.preset)), Preset("proof-full", compile="full")
    )


def _only_compiles(preset: Preset) -> bool:
    rest = replace(preset, name="", compile="none", compile_mode="default", channels_last=False)
    return preset.compile == "full" and replace(rest, dtype="auto", vae_dtype="auto") == Preset("")


def _in_turn(visits: Sequence[Visit]) -> list[Visit]:
    """The first of each family, then the second of each."""
    seen: dict[str, int] = {}
    ranked = []
    for place, visit in enumerate(visits):
        rank = seen.get(visit.family.name, 0)
        seen[visit.family.name] = rank + 1
        ranked.append((rank, place, visit))
    return [visit for _, _, visit in sorted(ranked, key=lambda one: one[:2])]
