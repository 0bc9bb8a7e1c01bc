"""How tensors lie in memory, looked up in weights and in what convolutions hand on."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine import device_allocator, layout
from kilnwatt_worker.diffusers_engine.optimise import TECHNIQUES
from tests.techniques import engine_with, loaded_with, only_downgrade, params_of, pictures_of, pipeline_in


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_with_channels_last_the_work_of_both_networks_lies_so(
    model: Callable[[str], Path], tmp_path: Path, family: str
) -> None:
    def made_by(part: torch.nn.Module) -> list[bool]:
        found: list[bool] = []
        for module in part.modules():
            if isinstance(module, torch.nn.Conv2d) and module.kernel_size[0] > 1:
                module.register_forward_hook(
                    lambda _module, _given, made: found.append(made.is_contiguous(memory_format=torch.channels_last))
                )
        return found

    engine, facts = engine_with(model(family), channels_last=True)
    assert (facts.settings["channels_last"], facts.downgrades) == (True, ())
    pipe = pipeline_in(engine).pipe
    denoised, decoded = made_by(pipe.unet), made_by(pipe.vae)
    pictures_of(engine, tmp_path, params_of(family, steps=1), ["a red circle"])
    assert denoised != []
    assert decoded != []
    assert all(denoised)
    assert all(decoded)


def test_channels_last_of_one_network_alone_is_not_in_effect(model: Callable[[str], Path]) -> None:
    pipe = loaded_with(model("sd")).pipe
    pipe.unet.to(memory_format=torch.channels_last)
    assert layout.in_effect(pipe)["channels_last"] is False


def test_a_transformer_has_no_channels_to_be_last(model: Callable[[str], Path]) -> None:
    _, facts = engine_with(model("flux"), channels_last=True)
    assert only_downgrade(facts) == ("channels_last", "True", "False")
    assert facts.downgrades[0].reason == "a FluxTransformer2DModel has no convolutions"


def test_segments_that_grow_are_a_named_downgrade_on_a_cpu(model: Callable[[str], Path]) -> None:
    _, facts = engine_with(model("sd"), allocator="expandable")
    assert only_downgrade(facts) == ("allocator", "expandable", "default")


def test_the_allocator_of_one_preset_is_not_that_of_the_next_and_the_environment_s_other_settings_stay(
    model: Callable[[str], Path],
) -> None:
    before = torch._C._accelerator_getAllocatorSettings()
    others = "roundup_power2_divisions:[256:1,512:2],max_split_size_mb:128"
    torch._C._accelerator_setAllocatorSettings(f"expandable_segments:True,{others}")
    try:
        assert device_allocator.in_effect(loaded_with(model("sd")).pipe) == {"allocator": "default"}
        assert torch._C._accelerator_getAllocatorSettings() == f"{others},expandable_segments:False"
    finally:
        torch._C._accelerator_setAllocatorSettings(before)


def test_the_segment_that_counts_is_the_one_that_holds_the_probe() -> None:
    """An old one that grows was once taken for proof that new ones do."""
    segments = [(1000, 500, True), (2000, 500, False)]
    assert [device_allocator.is_expandable(segments, address) for address in (1499, 1500, 2000)] == [True, False, False]


def test_the_allocator_is_told_before_anything_is_brought_to_the_card() -> None:
    """`quantise` moves weights there; what came before the setting stayed in segments of the old kind."""
    assert TECHNIQUES[0] is device_allocator


def test_pinned_memory_is_not_rounded_up_and_what_the_environment_says_of_it_stays() -> None:
    before = torch._C._accelerator_getAllocatorSettings()
    try:
        for said, then in [
            ("max_split_size_mb:128", "max_split_size_mb:128,pinned_max_round_threshold_mb:1"),
            ("pinned_max_round_threshold_mb:64", "pinned_max_round_threshold_mb:64"),
        ]:
            torch._C._accelerator_setAllocatorSettings(said)
            device_allocator.pin_exactly()
            assert torch._C._accelerator_getAllocatorSettings() == then
    finally:
        torch._C._accelerator_setAllocatorSettings(before)
