"""
Settings that cannot hold together, or not here: refused by name before any weights are read.

The rules are data that the orchestrator reads too. What only a package or a model at hand can tell, the technique says.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Preset
from kilnwatt_worker.strict import build

RULES_FILE = Path(__file__).with_name("combinations.json")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of where a preset is to hold. A rule about what is not known does not apply."""

    device: Literal["cpu", "cuda"] | None = None
    denoiser: Literal["unet", "transformer"] | None = None
    family: Literal["sd", "sdxl", "flux", "other"] | None = None
    capability: float | None = None
    """Compute capability of the card as one number; None for a processor."""
    loras: bool | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A preset breaks it where all that it names applies."""

    name: str
    when: dict[str, tuple[str | bool | float, ...]]
    """By field: one of these values."""
    unless: dict[str, tuple[str | bool | float, ...]]
    """By field: none of these values."""
    facts: dict[str, tuple[str | bool, ...]]
    """By fact: one of these values; an unknown fact is none of them."""
    capability_below: float | None
    where: str
    """For the sentence: what of the facts makes it impossible, with a blank before it."""
    because: str
    instead: str
    source: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """`name` is the rule's; the sentence has no end and no preset in it."""

    name: str
    sentence: str


def refuse(preset: Preset, facts: Facts) -> None:
    """Raises WorkerError `preset_impossible` with what cannot hold, why, and what to use instead."""
    found = impossible(preset, facts)
    if found is not None:
        raise WorkerError("preset_impossible", f"{preset.name}: {found.sentence}")


def impossible(preset: Preset, facts: Facts) -> Impossible | None:
    """The first rule that is broken, in the order of the file."""
    rule = next((one for one in rules() if _is_broken(one, preset, facts)), None)
    if rule is None:
        return None
    settings = " with ".join(f"{field}={_shown(getattr(preset, field))}" for field in (*rule.when, *rule.unless))
    return Impossible(rule.name, f"{settings} cannot hold{rule.where}: {rule.because}; {rule.instead}")


@cache
def rules() -> tuple[Rule, ...]:
    """As the file has them."""
    raw = json.loads(RULES_FILE.read_text(encoding="utf-8"))
    return tuple(build(Rule, one, f"{RULES_FILE.name}[{at}]") for at, one in enumerate(raw))


def _is_broken(rule: Rule, preset: Preset, facts: Facts) -> bool:
    return (
        all(getattr(preset, field) in values for field, values in rule.when.items())
        and all(getattr(preset, field) not in values for field, values in rule.unless.items())
        and all(getattr(facts, fact) in values for fact, values in rule.facts.items())
        and (rule.capability_below is None or _is_below(facts.capability, rule.capability_below))
    )


def _is_below(capability: float | None, least: float) -> bool:
    return capability is not None and capability < least


def _shown(value: str | bool | float) -> str:
    """As it is written in a configuration."""
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
