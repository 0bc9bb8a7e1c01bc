"""What messages say of energy. Field names are the names on the wire; amounts are whole millijoules."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from kilnwatt_worker.parts import Count

EnergyFlag: TypeAlias = Literal[
    "coarse", "counter_fell", "implausible", "disagrees", "shared_gpu", "sharing_unknown", "whole_package"
]
"""
`coarse`: the bound is wide, or the window too short for its meter; `counter_fell`: the driver was loaded anew in it;
`implausible`: the counter said what the card cannot have drawn; `disagrees`: counter and integral differ by over a
tenth; `shared_gpu`: another program worked on the card, and its part was taken out, or could not be;
`sharing_unknown`: whether another did cannot be told here; `whole_package`: all of a processor, with other programs.
"""


@dataclass(frozen=True, slots=True)
class CounterEnds:
    """NVML's energy counter as it stood, in millijoules since the driver was loaded. It may have fallen."""

    from_mj: Count
    to_mj: Count


@dataclass(frozen=True, slots=True)
class Integral:
    """Samples of power added up. The true value is within the bound where the power stayed in the range seen."""

    millijoules: Count
    bound_mj: Count


@dataclass(frozen=True, slots=True)
class EnergyWindow:
    """What the meters of a card said between two moments at which it had nothing of ours left to do."""

    gpu: str
    """UUID as nvidia-smi has it, `GPU-…`."""
    from_ms: Count
    """Milliseconds of Unix time."""
    to_ms: Count
    counter: CounterEnds | None
    integral: Integral | None
    foreign_mj: Count | None
    """What others burnt of it; null where they did, and how much cannot be told."""


@dataclass(frozen=True, slots=True)
class Energy:
    """What a stretch of our work took, without what others burnt beside it. Unknown is null, never zero."""

    millijoules: Count | None
    """Null if and only if the method is `unknown`."""
    meter: Literal["nvml_counter", "power_integral", "rapl", "none"]
    method: Literal["measured", "derived", "unknown"]
    flags: tuple[EnergyFlag, ...]
    bound_mj: Count | None
    """The true value is at most so far away; null where nothing bounds it."""
    window: EnergyWindow | None
    """Null where no card was read."""
