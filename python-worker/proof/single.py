"""
What no preset of the catalogue uses, each technique alone: a record that shows it in effect, or says why it is refused.

Cheap ones: the first picture costs seconds at most, and none is compiled as a whole but by TensorRT.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kilnwatt_worker.parts import Preset

SWAPPED = Preset("one-lora-rank", lora_rank=16, compile="regional")
"""Made with one LoRA and then with another, which must compile nothing."""

_ATTENTION = tuple(
    Preset(f"one-{name.replace('_', '-')}", attention=name)
    for name in ("sdpa_flash", "sdpa_efficient", "sdpa_cudnn", "sdpa_math", "xformers")
)
_OF_ANY = (
    Preset("one-tf32", dtype="float32", tf32=True),
    Preset("one-expandable", allocator="expandable"),
    *_ATTENTION,
    Preset("one-fused-qkv", fused_qkv=True),
    SWAPPED,
)
_BY_TORCHAO = (
    Preset("one-int8-weights", quantize="int8_weights"),
    Preset("one-int8-dynamic", quantize="int8_dynamic"),
    Preset("one-int8-text", quantize_text="int8_weights"),
)
_SINGLE: Mapping[str, Sequence[Preset]] = {
    "sdxl": (*_OF_ANY, Preset("one-sliced", attention="sliced"), *_BY_TORCHAO),
    "flux": (
        # As large as a card in float32, it is left to the others.
        *(preset for preset in _OF_ANY if preset.dtype == "auto"),
        Preset("one-flash", attention="flash"),
        Preset("one-sage", attention="sage"),
        *_BY_TORCHAO,
    ),
    # The smallest, for what brings all weights to the card at each step, or builds an engine of minutes.
    "sd": (
        Preset("one-sequential", offload="sequential"),
        Preset("one-tensorrt", compile="tensorrt"),
        Preset("one-autotuned", compile="regional", compile_mode="max-autotune-no-cudagraphs"),
    ),
}


def single_techniques(family: str, device: str) -> Sequence[Preset]:
    """In the order of their worth. A processor has tests of its own; there one of each kind shows that this works."""
    presets = _SINGLE[family]
    if device == "cuda":
        return presets
    return [replace(SWAPPED, compile="none")] if SWAPPED in presets else presets[:1]
