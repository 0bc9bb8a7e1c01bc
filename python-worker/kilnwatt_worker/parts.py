"""
What messages are made of: limits, closed vocabularies, and the objects inside a message.

Field names are the names on the wire. `strict.build` reads the annotations, limits included.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from kilnwatt_worker.strict import Between

MAX_SEED = 2**53 - 1

Phase: TypeAlias = Literal["idle", "import", "load", "compile", "encode", "denoise", "decode", "save"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Dtype: TypeAlias = Literal["auto", "float32", "float16", "bfloat16"]
VaeDtype: TypeAlias = Literal["auto", "float32"]
Attention: TypeAlias = Literal["sdpa", "sliced", "xformers"]
Offload: TypeAlias = Literal["none", "model"]
Format: TypeAlias = Literal["png", "jpeg", "webp"]
Settings: TypeAlias = dict[str, str | int | float | bool | None]

Count: TypeAlias = Annotated[int, Between(0, MAX_SEED)]
Pixels: TypeAlias = Annotated[int, Between(1, 16_384)]
Positive: TypeAlias = Annotated[float, Between(0.0, 1e12)]


@dataclass(frozen=True, slots=True)
class ModelRef:
    """`family` is what the registry took the model for; the folder itself has the last word."""

    path: str
    family: str


@dataclass(frozen=True, slots=True)
class Preset:
    """
    Load-time settings as asked for; `loaded` answers with those in effect.

    `vae_dtype` is that of the denoiser where it is `auto`, but for a VAE that is known to overflow in it.
    """

    name: str
    dtype: Dtype
    vae_dtype: VaeDtype
    attention: Attention
    vae_slicing: bool
    vae_tiling: bool
    offload: Offload


@dataclass(frozen=True, slots=True)
class Params:
    """What all items of a batch share. `scheduler` and `schedule` are our names; the engine judges them."""

    width: Pixels
    height: Pixels
    steps: Annotated[int, Between(1, 10_000)]
    guidance: Positive
    distilled_guidance: Positive | None
    scheduler: str
    schedule: str
    clip_skip: Annotated[int, Between(0, 100)]
    format: Format


@dataclass(frozen=True, slots=True)
class Item:
    """One picture. `out` is the file to write; its extension means nothing."""

    job: str
    prompt: str
    negative_prompt: str
    seed: Annotated[int, Between(0, MAX_SEED)]
    out: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. Peaks are those since the window was opened; null where there is no such device."""

    peak_allocated_bytes: Count | None
    peak_reserved_bytes: Count | None
    rss_bytes: Count
    peak_rss_bytes: Count


@dataclass(frozen=True, slots=True)
class Energy:
    """What the device's counter said. Unknown is null, never zero."""

    millijoules: Count | None
    meter: Literal["nvml_counter", "none"]
    method: Literal["measured", "unknown"]


@dataclass(frozen=True, slots=True)
class PhaseSeconds:
    encode: Positive
    denoise: Positive
    decode: Positive
    save: Positive
