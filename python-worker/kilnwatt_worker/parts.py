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
Attention: TypeAlias = Literal[
    "sdpa", "sdpa_flash", "sdpa_efficient", "sdpa_cudnn", "sdpa_math", "sliced", "xformers", "flash", "sage"
]
Offload: TypeAlias = Literal["none", "text_encoders", "model", "group", "sequential"]
Allocator: TypeAlias = Literal["default", "expandable"]
Compile: TypeAlias = Literal["none", "full", "regional", "tensorrt"]
CompileMode: TypeAlias = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
StepCache: TypeAlias = Literal["none", "first_block", "deepcache"]
Decoder: TypeAlias = Literal["own", "tiny"]
Quantize: TypeAlias = Literal["none", "fp8_dynamic", "int8_dynamic", "int8_weights", "nf4", "fp8_storage"]
QuantizeText: TypeAlias = Literal["none", "int8_weights", "nf4"]
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

    The same fields, under the same names, are in the orchestrator's catalogue and in users' own presets. The values
    here are the neutral ones, a technique that is not used; on the wire every field is there.
    """

    name: str
    dtype: Dtype = "auto"
    """Of the denoiser and the text encoders. `auto`: what the device is best at."""
    vae_dtype: Dtype = "auto"
    """`auto` is that of the denoiser, but for a VAE that is known to overflow in it."""
    tf32: bool = False
    """Matrix products of float32 in the card's reduced precision; convolutions use it by torch's own default."""
    fp16_accumulation: bool = False
    """Sums of float16 products in float16: twice as fast on GeForce cards, less exact."""
    attention: Attention = "sdpa"
    """`sdpa` chooses its kernel itself, the `sdpa_` ones name theirs; `flash` and `sage` are of other packages."""
    fused_qkv: bool = False
    offload: Offload = "none"
    """What leaves the device's memory while it is not used."""
    vae_slicing: bool = False
    """Pictures of a batch are decoded one by one, also small ones, which are decoded together otherwise."""
    vae_tiling: bool = False
    """Pictures larger than a tile are decoded tile by tile."""
    allocator: Allocator = "default"
    channels_last: bool = False
    compile: Compile = "none"
    compile_mode: CompileMode = "default"
    buckets: tuple[Annotated[int, Between(1, 64)], ...] = ()
    """Sizes that batches are padded to, so that compiled shapes stay few; empty: none is padded."""
    step_cache: StepCache = "none"
    step_cache_strength: Annotated[float, Between(0.0, 100.0)] = 0.0
    """`first_block`: the change below which a step is skipped; `deepcache`: of how many steps one is whole."""
    prompt_cache: Annotated[int, Between(0, 100_000)] = 0
    """Prompts whose embeddings are kept, as far as 1.1 GB of the host's memory reach."""
    decoder: Decoder = "own"
    """`tiny`: a small autoencoder in place of the model's own, for previews."""
    quantize: Quantize = "none"
    """Of the denoiser."""
    quantize_text: QuantizeText = "none"
    """Of the largest text encoder."""
    lora_rank: Annotated[int, Between(0, 1024)] = 0
    """The largest rank of a LoRA that is swapped in without compiling anew; 0: any rank, and it is compiled anew."""


@dataclass(frozen=True, slots=True)
class Downgrade:
    """A setting that was asked for and is not in effect, and what is instead."""

    setting: str
    asked: str
    in_effect: str
    reason: str


@dataclass(frozen=True, slots=True)
class LoraRef:
    """A LoRA in diffusers' layout. `name` is unique among those of a batch."""

    name: str
    path: str
    weight: Annotated[float, Between(-100.0, 100.0)]


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
    loras: tuple[LoraRef, ...] = ()


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
    """Of torch's tensors on the device."""
    peak_reserved_bytes: Count | None
    """Of what torch's allocator took for them."""
    reserved_bytes: Count | None
    """What it holds now: the card has this much more for this process than `device_free_bytes`."""
    peak_device_bytes: Count | None
    """Of the whole card, other programs included, as far as it was looked at: at the end of each phase."""
    device_free_bytes: Count | None
    """Of the card, now, as its driver says."""
    device_total_bytes: Count | None
    rss_bytes: Count
    peak_rss_bytes: Count
    anonymous_bytes: Count
    """Of what is resident: what the host gets back only when this process ends. Mapped files are caches to it."""


@dataclass(frozen=True, slots=True)
class PhaseSeconds:
    encode: Positive
    denoise: Positive
    decode: Positive
    save: Positive


@dataclass(frozen=True, slots=True)
class StepSeconds:
    """Of the denoise steps of a batch, as the device took them."""

    count: Count
    first: Positive
    median: Positive
    slowest: Positive


@dataclass(frozen=True, slots=True)
class Work:
    """What the denoiser did for a batch."""

    teraflops: Positive | None
    """
    Of all its calls, counted from its shapes, 2 a multiply-add, rows that a batch was padded with included. A call that
    a step cache cut short counts nothing. Null where it could not be counted.
    """
    calls: Count
    """
    How often it ran in all its depth, seen at its deepest block: fewer than steps times passes where a step cache left
    some out. In compiled code nothing is seen, and it is steps times passes.
    """
    mfu: Annotated[float, Between(0.0, 1.0)] | None
    """Model FLOPs utilisation while denoising; null where the peak is unknown, or it was over 1 and so invalid."""
    graphs: Count
    """Compiled during this batch; anything but 0 in a batch of a known shape is a recompile."""
    cached_prompts: Count
    """Prompts whose embeddings were there already."""
