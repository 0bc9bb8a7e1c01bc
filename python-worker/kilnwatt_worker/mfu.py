"""
Model FLOPs utilisation: the share of a card's dense peak that the denoiser's arithmetic made use of.

The peaks are NVIDIA's own, without sparsity, at the boost clock, with sums in float32; a card that is not listed, or
one of another size under the same name, has none, and then nothing is told. Sources, all of NVIDIA:

- H100 and H200: "H100 Tensor Core GPU Architecture" and the data sheets of both; what those print is with sparsity, so
  half of it.
- A100: "A100 Tensor Core GPU Architecture". L40S, L4 and RTX 6000 Ada: their data sheets.
- GeForce 30, 40 and 50: multiprocessors and boost clocks from the appendices of "Ampere GA102 GPU Architecture", "Ada
  GPU Architecture" and "RTX Blackwell GPU Architecture", and from NVIDIA's pages of the cards that came later. All of
  them do 512 operations a clock and multiprocessor, which gives the figures that the papers print: 71.2 TFLOP/s for
  the 3090, 165.2 for the 4090, 209.5 for the 5090.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

HALF = ("float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How the denoiser multiplies: settings in effect, under the names that a preset has for them."""

    dtype: str
    fp16_accumulation: bool = False
    tf32: bool = False
    quantize: str = "none"


@dataclass(frozen=True, slots=True)
class Card:
    """Dense TFLOP/s of half precision with sums in float32, and what other arithmetic is worth as a multiple of it."""

    half: float
    fp16_sums: float = 1.0
    """Float16 with sums in float16. Twice on GeForce cards, whose sums in float32 are slowed down."""
    fp8: float | None = None
    """Null before Ada and Hopper."""
    int8: float = 2.0


def peak_teraflops(card: str, arithmetic: Arithmetic) -> float | None:
    """Of a card by the name that its driver gives it; None where it is unknown, or for plain float32."""
    known = card_named(card)
    if known is None:
        return None
    times = _times(known, arithmetic)
    return None if times is None else known.half * times


def card_named(name: str) -> Card | None:
    bare = re.sub(r"^(NVIDIA )?(GeForce )?", "", name.strip())
    geforce = _GEFORCE.get(bare)
    if geforce is not None:
        return _geforce(*geforce, fp8=not bare.startswith("RTX 30"))
    return next((card for pattern, card in _SERVER.items() if re.fullmatch(pattern, bare)), None)


def utilisation(teraflops: float, seconds: float, peak: float) -> float | None:
    """A figure over 1 says that the work, the time or the peak is wrong. None where no time was taken."""
    return teraflops / (seconds * peak) if seconds > 0 else None


def _times(card: Card, arithmetic: Arithmetic) -> float | None:
    if arithmetic.quantize == "fp8_dynamic":
        return card.fp8
    if arithmetic.quantize == "int8_dynamic":
        return card.int8
    if arithmetic.dtype in HALF:
        return card.fp16_sums if arithmetic.dtype == "float16" and arithmetic.fp16_accumulation else 1.0
    return 0.5 if arithmetic.dtype == "float32" and arithmetic.tf32 else None


def _geforce(multiprocessors: int, boost_ghz: float, fp8: bool) -> Card:
    return Card(multiprocessors * boost_ghz * 512 / 1000, fp16_sums=2.0, fp8=2.0 if fp8 else None, int8=4.0)


_GEFORCE: Mapping[str, tuple[int, float]] = {
    "RTX 5090": (170, 2.407),
    "RTX 5080": (84, 2.617),
    "RTX 5070 Ti": (70, 2.452),
    "RTX 5070": (48, 2.512),
    "RTX 4090": (128, 2.520),
    "RTX 4080 SUPER": (80, 2.550),
    "RTX 4080": (76, 2.505),
    "RTX 4070 Ti SUPER": (66, 2.610),
    "RTX 4070 Ti": (60, 2.610),
    "RTX 4070 SUPER": (56, 2.475),
    "RTX 4070": (46, 2.475),
    "RTX 4060 Ti": (34, 2.535),
    "RTX 4060": (24, 2.460),
    "RTX 3090 Ti": (84, 1.860),
    "RTX 3090": (82, 1.695),
    "RTX 3070": (46, 1.725),
}
"""Multiprocessors and boost clock in GHz, by exact name: those of laptops and other variants are other cards. The 3080
and the 3060 are left out, because each was sold with two sizes of chip or memory under one name."""

_SERVER: Mapping[str, Card] = {
    r"H200": Card(989.4, fp8=2.0),
    r"H200 NVL": Card(835.5, fp8=2.0),
    r"H100 80GB HBM3": Card(989.4, fp8=2.0),
    r"H100 PCIe": Card(756.5, fp8=2.0),
    r"H100 NVL": Card(835.5, fp8=2.0),
    r"A100(-SXM4|-PCIE)?[- ][48]0GB( PCIe)?": Card(312.0),
    r"L40S": Card(362.05, fp8=2.0),
    r"L4": Card(121.0, fp8=2.0),
    r"RTX 6000 Ada Generation": Card(364.2, fp8=2.0),
}
"""Patterns of whole names. A slice of a card (MIG) has a longer name, and so no peak."""
