"""Techniques that promise the same picture keep it, on the model in the box. Offloading has tests of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.quality.compare import Picture, psnr
from tests.techniques import ALIKE_DB, BOX, engine_with, params_of, pictures_of, pipeline_in

PARAMS = params_of("sd", width=128, height=128, steps=4, guidance=4.0)
PROMPTS = ("a red circle on a blue background", "a small white star on the left on a purple background")

EXACT: Mapping[str, Mapping[str, object]] = {
    "flash": {"attention": "sdpa_flash"},
    "math": {"attention": "sdpa_math"},
    "sliced": {"attention": "sliced"},
    "fused": {"fused_qkv": True},
    "one by one": {"vae_slicing": True},
    "channels last": {"channels_last": True},
    "text encoders": {"offload": "text_encoders"},
    "all": {
        "attention": "sdpa_flash",
        "fused_qkv": True,
        "vae_slicing": True,
        "channels_last": True,
        "offload": "text_encoders",
    },
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    return pictures_of(engine_with(BOX)[0], tmp_path_factory.mktemp("plain"), PARAMS, PROMPTS)


@pytest.mark.parametrize("technique", EXACT)
def test_an_exact_technique_is_in_effect_and_keeps_the_picture(
    plain: list[Picture], tmp_path: Path, technique: str
) -> None:
    engine, facts = engine_with(BOX, **EXACT[technique])
    assert {name: facts.settings[name] for name in EXACT[technique]} == EXACT[technique]
    for one, other in zip(pictures_of(engine, tmp_path, PARAMS, PROMPTS), plain, strict=True):
        assert psnr(one, other) >= ALIKE_DB


def test_without_offload_no_weight_moves_and_nothing_is_hooked(model: Callable[[str], Path], tmp_path: Path) -> None:
    """Text encoders that are dropped and read again lie elsewhere afterwards, so that this can be told at all."""
    stayed = {}
    for offload in ("none", "text_encoders"):
        engine, facts = engine_with(model("sd"), offload=offload)
        assert facts.settings["offload"] == offload
        parts = [part for part in pipeline_in(engine).pipe.components.values() if isinstance(part, torch.nn.Module)]
        weights = [weight for part in parts for weight in part.parameters()]
        before = [weight.data_ptr() for weight in weights]
        pictures_of(engine, tmp_path, params_of("sd", steps=1), PROMPTS[:1])
        stayed[offload] = [weight.data_ptr() for weight in weights] == before and all(before)
        modules = [module for part in parts for module in part.modules()]
        assert not any(hasattr(module, hook) for module in modules for hook in ("_hf_hook", "_diffusers_hook"))
    assert stayed == {"none": True, "text_encoders": False}
