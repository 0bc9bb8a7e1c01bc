"""LoRAs that are swapped into room made for them, so that compiled code stays as it is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine import lora
from kilnwatt_worker.diffusers_engine.optimise import settings_in_effect
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Level
from tests.lora_batches import TOLERANCE, apart, latents, loaded_of, merged, ref, refused
from tests.lora_files import Lora, lora_file
from tests.samples import PRESET

MOST = {"unet": ["to_q", "to_v", "to_out.0", "proj_in"], "transformer": ["to_q", "add_k_proj", "proj_out"]}
FEW = {"unet": ["to_v"], "transformer": ["to_q"]}
CONV = {"unet": ["conv1", "to_q"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Lora, Lora]]:
    """Two of a family that leave text encoders alone; the second changes fewer layers, at another rank and scale."""

    def ensure(family: str) -> tuple[Lora, Lora]:
        folder = tmp_path_factory.mktemp(family)
        return (
            lora_file(folder, family, 1, rank=4, alpha=4, targets=MOST),
            lora_file(folder, family, 2, rank=6, alpha=12, targets=FEW),
        )

    return ensure


@pytest.mark.parametrize("family", ["sdxl", "flux"])
def test_compiled_blocks_take_other_loras_without_being_compiled_anew(
    model: Callable[[str], Path], made: Callable[[str], tuple[Lora, Lora]], family: str
) -> None:
    path, (first, second) = model(family), made(family)
    loaded = loaded_of(path, lora_rank=10)
    base = latents(loaded_of(path))
    denoiser = loaded.pipe.transformer if family == "flux" else loaded.pipe.unet
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    denoiser.compile_repeated_blocks(fullgraph=True, backend=backend)
    asked = [
        [(second, 1.5)],
        [(first, 0.5), (second, 1.25)],
        [(first, -0.5)],
        [],
        [(first, 1.0)],
    ]
    try:
        latents(loaded, [ref(first)])
        compiled = len(graphs)
        with torch._dynamo.config.patch(error_on_recompile=True):
            found = [latents(loaded, [ref(*one) for one in loras]) for loras in asked]
    finally:
        torch._dynamo.reset()
    assert len(graphs) == compiled > 0
    for latent, loras in zip(found, asked, strict=True):
        assert apart(latent, merged(path, *loras)) < TOLERANCE
    assert torch.equal(found[3], base)
    assert apart(found[0], base) > 10 * TOLERANCE


def test_without_room_compiled_code_is_compiled_anew_as_often_as_loras_change(
    model: Callable[[str], Path], made: Callable[[str], tuple[Lora, Lora]]
) -> None:
    """Torch gives up after a few versions of a piece of code, and with fullgraph that was an error."""
    path, (first, second) = model("sd"), made("sd")
    loaded = loaded_of(path)
    asked = [[(first, 1.0)], [(second, 1.0)], [], [(first, 0.5), (second, 0.5)]]
    loaded.pipe.unet.compile_repeated_blocks(fullgraph=True, backend="eager")
    try:
        with torch._dynamo.config.patch(recompile_limit=1):
            found = [latents(loaded, [ref(*one) for one in loras]) for loras in asked]
    finally:
        torch._dynamo.reset()
    for latent, loras in zip(found, asked, strict=True):
        assert apart(latent, merged(path, *loras)) < TOLERANCE


def test_room_that_could_not_be_made_is_there_for_the_next_lora(
    model: Callable[[str], Path], made: Callable[[str], tuple[Lora, Lora]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, (first, second) = model("sd"), made("sd")
    loaded = loaded_of(path, lora_rank=8)
    latents(loaded, [ref(second)])
    with monkeypatch.context() as patched:
        patched.setattr(torch, "zeros", lambda *_args, **_named: [][0])
        code, sentence = refused(loaded, ref(first))
    assert (code, sentence) == (
        "bad_request",
        f"{first.path} cannot be used with this model (list index out of range); leave it out",
    )
    assert torch.equal(latents(loaded), latents(loaded_of(path)))
    assert apart(latents(loaded, [ref(first)]), merged(path, (first, 1.0))) < TOLERANCE
    assert settings_in_effect(loaded.pipe)["lora_rank"] == 8


def test_the_room_is_read_from_the_model_before_the_first_lora_and_after_it(
    model: Callable[[str], Path], made: Callable[[str], tuple[Lora, Lora]]
) -> None:
    loaded = loaded_of(model("sd"), lora_rank=8)
    assert loaded.settings["lora_rank"] == 8
    latents(loaded, [ref(made("sd")[0])])
    assert settings_in_effect(loaded.pipe)["lora_rank"] == 8
    plain = loaded_of(model("sd"))
    latents(plain, [ref(made("sd")[0])])
    assert settings_in_effect(plain.pipe)["lora_rank"] == plain.settings["lora_rank"] == 0


def test_a_lora_for_further_layers_makes_the_room_larger_and_says_so(
    model: Callable[[str], Path], made: Callable[[str], tuple[Lora, Lora]], tmp_path: Path
) -> None:
    path, (first, second) = model("sd"), made("sd")
    loaded = loaded_of(path, lora_rank=8)
    conv = lora_file(tmp_path, "sd", 7, targets=CONV)
    logs: list[tuple[Level, str]] = []
    for made_lora in (second, conv, first, second):
        lora.use(loaded, [ref(made_lora)], lambda level, message: logs.append((level, message)))
        assert apart(latents(loaded, [ref(made_lora)]), merged(path, (made_lora, 1.0))) < TOLERANCE
    assert [message.split(" changes layers")[0] for _, message in logs] == [str(conv.path), str(first.path)]
    assert loaded.loras.room == first.deltas.keys() | second.deltas.keys() | conv.deltas.keys()
    assert torch.equal(latents(loaded), latents(loaded_of(path)))


def test_what_the_room_cannot_hold_is_refused_and_leaves_it_empty(
    model: Callable[[str], Path], made: Callable[[str], tuple[Lora, Lora]], tmp_path: Path
) -> None:
    loaded = loaded_of(model("sd"), lora_rank=8)
    base = latents(loaded)
    first, second = made("sd")
    text = lora_file(tmp_path, "sd", 8)
    latents(loaded, [ref(first)])
    code, sentence = refused(loaded, ref(text))
    assert (code, sentence.split(" changes ")[1]) == (
        "bad_request",
        "the text_encoder, which lora_rank=8 has no room for; take a preset with lora_rank=0",
    )
    latents(loaded, [ref(first)])
    code, sentence = refused(loaded, ref(first), ref(second))
    assert code == "bad_request"
    assert sentence == (
        f"{first.path} and {second.path} need a rank of 10, above lora_rank=8; "
        "take a preset with a higher one or with 0"
    )
    assert torch.equal(latents(loaded), base)


def test_a_pipeline_that_takes_no_loras_has_no_room_for_them_and_says_so(model: Callable[[str], Path]) -> None:
    loaded = loaded_of(model("sd"))
    bare = type("Bare", (), {"unet": loaded.pipe.unet})()
    target = Target(bare, replace(PRESET, lora_rank=16), "sd", loaded.device, Path("model"), lambda _level, _said: None)
    lora.apply(target)
    assert [(one.setting, one.asked, one.in_effect) for one in target.downgrades] == [("lora_rank", "16", "0")]
    assert lora.in_effect(bare) == {"lora_rank": 0}
