"""The peaks are checked against what NVIDIA's papers print, which is rounded."""

import pytest

from kilnwatt_worker.mfu import Arithmetic, card_named, peak_teraflops, utilisation

HALF = Arithmetic("float16")


@pytest.mark.parametrize(
    ("card", "printed"),
    [
        ("NVIDIA H200", 989.4),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA A100-PCIE-40GB", 312.0),
        ("NVIDIA A100 80GB PCIe", 312.0),
        ("NVIDIA L40S", 362.05),
        ("NVIDIA GeForce RTX 5090", 209.5),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA GeForce RTX 4080", 97.5),
        ("NVIDIA GeForce RTX 4070 Ti", 80.2),
        ("NVIDIA GeForce RTX 4060 Ti", 44.1),
        ("NVIDIA GeForce RTX 3090", 71.2),
    ],
)
def test_a_cards_peak_is_the_one_that_its_maker_prints(card: str, printed: float) -> None:
    assert peak_teraflops(card, HALF) == pytest.approx(printed, abs=0.1)
    assert peak_teraflops(card, Arithmetic("bfloat16")) == peak_teraflops(card, HALF)


@pytest.mark.parametrize(
    ("card", "arithmetic", "printed"),
    [
        ("NVIDIA GeForce RTX 4090", Arithmetic("float16", fp16_accumulation=True), 330.3),
        ("NVIDIA GeForce RTX 4090", Arithmetic("bfloat16", fp16_accumulation=True), 165.2),
        ("NVIDIA GeForce RTX 4090", Arithmetic("bfloat16", quantize="fp8_dynamic"), 330.3),
        ("NVIDIA GeForce RTX 4090", Arithmetic("bfloat16", quantize="int8_dynamic"), 660.6),
        ("NVIDIA GeForce RTX 4090", Arithmetic("float32", tf32=True), 82.6),
        ("NVIDIA GeForce RTX 4090", Arithmetic("bfloat16", quantize="nf4"), 165.2),
        ("NVIDIA H200", Arithmetic("float16", fp16_accumulation=True), 989.4),
        ("NVIDIA H200", Arithmetic("bfloat16", quantize="fp8_dynamic"), 1979.0),
        ("NVIDIA A100-SXM4-80GB", Arithmetic("float32", tf32=True), 156.0),
    ],
)
def test_the_peak_is_that_of_the_arithmetic_in_effect(card: str, arithmetic: Arithmetic, printed: float) -> None:
    assert peak_teraflops(card, arithmetic) == pytest.approx(printed, abs=0.3)


@pytest.mark.parametrize(
    ("card", "arithmetic"),
    [
        ("NVIDIA GeForce RTX 3090", Arithmetic("bfloat16", quantize="fp8_dynamic")),
        ("NVIDIA A100-SXM4-80GB", Arithmetic("bfloat16", quantize="fp8_dynamic")),
        ("NVIDIA H200", Arithmetic("float32")),
    ],
    ids=["no fp8 on Ampere", "no fp8 on Ampere servers", "plain float32"],
)
def test_what_a_card_is_not_listed_for_has_no_peak(card: str, arithmetic: Arithmetic) -> None:
    assert peak_teraflops(card, arithmetic) is None


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA A100-SXM4-40GB MIG 3g.20gb",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "Quadro P400",
        "",
    ],
)
def test_a_card_that_is_only_named_alike_is_unknown(name: str) -> None:
    assert card_named(name) is None


def test_the_published_speed_of_flux_on_an_h100_is_the_published_utilisation() -> None:
    peak = peak_teraflops("NVIDIA H100 80GB HBM3", Arithmetic("bfloat16"))
    assert peak is not None
    assert utilisation(28 * 74.38, 4.30, peak) == pytest.approx(0.49, abs=0.005)


def test_without_time_there_is_no_utilisation() -> None:
    assert utilisation(1.0, 0.0, 100.0) is None
