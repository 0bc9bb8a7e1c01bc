"""Techniques that promise the same picture keep it, on the model in the box. Offloading has tests of its own."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from kilnwatt_worker.quality.compare import Picture, psnr
from tests.techniques import ALIKE_DB, BOX, engine_with, params_of, pictures_of

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
