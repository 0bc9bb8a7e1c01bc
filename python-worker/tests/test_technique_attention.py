"""Which code computes attention: what its processors say, and which kernel of torch really ran."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry

from kilnwatt_worker.diffusers_engine import attention
from kilnwatt_worker.diffusers_engine.denoise import denoise
from kilnwatt_worker.diffusers_engine.encode import encode
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, denoiser_of, weights_of
from kilnwatt_worker.errors import WorkerError
from tests.samples import item
from tests.techniques import code_of, engine_with, loaded_with, params_of, preset_of, target_of

FLASH = "aten::_scaled_dot_product_flash_attention_for_cpu"
MATH = "aten::_scaled_dot_product_attention_math"


@pytest.fixture(scope="module")
def bare(model: Callable[[str], Path]) -> Callable[[str], LoadedPipeline]:
    """Loaded once, for what leaves it as it is."""
    return cache(lambda family: loaded_with(model(family)))


def kernels_of(loaded: LoadedPipeline) -> set[str]:
    """Of the denoiser alone."""
    params = params_of(loaded.family, steps=1)
    conditioning = encode(loaded, [item(0)], params)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        denoise(loaded, conditioning, params, [1], lambda _step, _steps: None)
    return {event.key for event in profile.key_averages()} & {FLASH, MATH}


@pytest.mark.parametrize("family", ["sd", "flux"])
@pytest.mark.parametrize(("asked", "kernel"), [("sdpa_flash", FLASH), ("sdpa_math", MATH)])
def test_a_kernel_that_is_named_is_the_one_that_runs(
    model: Callable[[str], Path], family: str, asked: str, kernel: str
) -> None:
    loaded = loaded_with(model(family), attention=asked)
    assert (loaded.settings["attention"], loaded.downgrades) == (asked, ())
    assert kernels_of(loaded) == {kernel}


@pytest.mark.parametrize("family", ["sd", "flux"])
def test_nothing_of_a_named_kernel_is_left_for_the_next_model(model: Callable[[str], Path], family: str) -> None:
    loaded_with(model(family), attention="sdpa_math")
    assert _AttentionBackendRegistry.get_active_backend()[0] is AttentionBackendName.NATIVE
    after = loaded_with(model(family))
    assert (after.settings["attention"], kernels_of(after)) == ("sdpa", {FLASH})


def test_a_default_that_something_else_set_is_put_back_at_a_load(model: Callable[[str], Path]) -> None:
    """As `set_attention_backend` of a UNet does, which changes nothing in the UNet."""
    _AttentionBackendRegistry.set_active_backend(AttentionBackendName._NATIVE_MATH)
    loaded = loaded_with(model("flux"))
    assert (loaded.settings["attention"], kernels_of(loaded)) == ("sdpa", {FLASH})


@pytest.mark.parametrize(
    ("family", "asked", "reason"),
    [
        ("sd", "sdpa_efficient", "cannot be computed so"),
        ("flux", "sdpa_cudnn", "cannot be computed so"),
        ("sd", "flash", "a UNet2DConditionModel does not ask diffusers' dispatcher"),
        ("sd", "sage", "a UNet2DConditionModel does not ask diffusers' dispatcher"),
        ("flux", "flash", "its kernels run on a graphics card only"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    bare: Callable[[str], LoadedPipeline], model: Callable[[str], Path], family: str, asked: str, reason: str
) -> None:
    with pytest.raises(WorkerError) as refused:
        attention.apply(target_of(bare(family), model(family), attention=asked))
    assert refused.value.code == "preset_impossible"
    assert f"attention={asked} of the preset plain" in refused.value.message
    assert reason in refused.value.message
    assert _AttentionBackendRegistry.get_active_backend()[0] is AttentionBackendName.NATIVE


def test_a_package_that_is_missing_is_an_error_with_the_command_that_adds_it(
    bare: Callable[[str], LoadedPipeline], model: Callable[[str], Path]
) -> None:
    target = target_of(bare("sd"), model("sd"), "cuda:0", attention="xformers")
    with pytest.raises(WorkerError, match="--with xformers") as missing:
        attention.apply(target)
    assert code_of(missing.value) == "preset_package_missing"


def test_an_xformers_without_its_kernels_is_a_downgrade_with_the_reason(
    bare: Callable[[str], LoadedPipeline],
    model: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It imports well: newer ones only pass on what another package has."""
    (tmp_path / "xformers").mkdir()
    (tmp_path / "xformers" / "__init__.py").write_text("")
    (tmp_path / "xformers" / "ops.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    target = target_of(bare("sd"), model("sd"), "cuda:0", attention="xformers")
    try:
        attention.apply(target)
    finally:
        for name in ("xformers", "xformers.ops"):
            sys.modules.pop(name, None)
    [downgrade] = target.downgrades
    assert (downgrade.in_effect, downgrade.reason) == ("sdpa", "this xformers has no memory_efficient_attention")


@pytest.mark.parametrize("family", ["sd", "flux"])
def test_fused_projections_hold_their_weights_once(
    bare: Callable[[str], LoadedPipeline], model: Callable[[str], Path], family: str
) -> None:
    """diffusers keeps the separate ones beside them."""
    engine, facts = engine_with(model(family), fused_qkv=True, attention="sdpa_math")
    assert (facts.settings["fused_qkv"], facts.settings["attention"], facts.downgrades) == (True, "sdpa_math", ())
    assert facts.weights == weights_of(bare(family).pipe)
    assert engine._loaded is not None
    names = [name for name, _ in denoiser_of(engine._loaded.pipe).named_parameters()]
    assert [name for name in names if ".to_k." in name or ".add_k_proj." in name] == []
    assert any(".to_qkv." in name for name in names)


def test_a_denoiser_that_cannot_fuse_is_a_named_downgrade(model: Callable[[str], Path]) -> None:
    loaded = loaded_with(model("sd"))
    for module in loaded.pipe.unet.modules():
        if hasattr(module, "fuse_projections"):
            module._supports_qkv_fusion = False
    target = target_of(loaded, model("sd"), fused_qkv=True)
    attention.apply(target)
    assert [(one.setting, one.in_effect) for one in target.downgrades] == [("fused_qkv", "False")]


def test_a_processor_of_another_kind_keeps_its_kernel_and_says_so(model: Callable[[str], Path]) -> None:
    loaded = loaded_with(model("sd"), attention="sliced")
    target = target_of(loaded, model("sd"), attention="sdpa_math")
    attention.apply(target)
    [downgrade] = target.downgrades
    assert "SlicedAttnProcessor, which takes no named kernel" in downgrade.reason
    assert preset_of(attention="sdpa_math").attention == downgrade.asked
