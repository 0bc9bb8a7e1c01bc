"""
What leaves the device, and comes back. Here the device is the host, so weights can be seen to go from memory, and those
of accelerate to where no memory is; what a card keeps in the host is told from what it works with by its storage.
"""

import gc
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from accelerate.hooks import remove_hook_from_module  # type: ignore[import-untyped]

from kilnwatt_worker.diffusers_engine import placement
from kilnwatt_worker.diffusers_engine.encode import encode
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of, weights_of
from kilnwatt_worker.errors import Stopped, WorkerError
from kilnwatt_worker.parts import Params
from kilnwatt_worker.quality.compare import Picture, psnr
from tests.host_as_card import placed
from tests.samples import Recorder, generate_of, item
from tests.techniques import (
    ALIKE_DB,
    BOX,
    code_of,
    engine_with,
    loaded_with,
    only_downgrade,
    params_of,
    pictures_of,
    pipeline_in,
)

PROMPTS = ("a red circle", "a blue square")


def stored_bytes(part: Pipeline) -> int:
    """Of the storages that its weights really have, each once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in part.parameters()}
    return sum(storages.values())


@pytest.fixture(scope="module")
def plain(model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Picture]]:
    """What each family makes with everything resident, made once."""

    @cache
    def made(family: str) -> list[Picture]:
        return pictures_of(
            engine_with(folder_of(family, model))[0], tmp_path_factory.mktemp("plain"), *asked_of(family)
        )

    return made


def loaded_here(path: Path, offload: str) -> tuple[DiffusersEngine, dict[str, int]]:
    engine, facts = engine_with(path, offload=offload)
    return engine, dict(facts.weights)


def folder_of(family: str, model: Callable[[str], Path]) -> Path:
    return BOX if family == "box" else model(family)


def asked_of(family: str) -> tuple[Params, tuple[str, ...]]:
    size = 128 if family == "box" else 64
    return params_of(family, steps=2, width=size, height=size), PROMPTS


@pytest.mark.parametrize(
    ("offload", "family", "on_card"),
    [
        ("text_encoders", "box", False),
        ("text_encoders", "flux", True),
        ("group", "box", True),
        ("group", "flux", True),
        ("model", "box", True),
        ("sequential", "box", True),
    ],
)
def test_an_offloaded_model_makes_the_same_pictures_also_after_a_cancelled_batch_and_nothing_of_it_stays(
    plain: Callable[[str], list[Picture]],
    model: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    offload: str,
    on_card: bool,
) -> None:
    params, prompts = asked_of(family)
    path = folder_of(family, model)
    engine, weights = placed(path, offload, monkeypatch) if on_card else loaded_here(path, offload)
    assert weights_of(pipeline_in(engine).pipe) == weights
    generate = generate_of([item(0, tmp_path / "0")], params)
    with pytest.raises(Stopped):
        engine.generate(generate, Recorder(generate, cancel_at=1))
    for one, other in zip(pictures_of(engine, tmp_path, params, prompts), plain(family), strict=True):
        assert psnr(one, other) >= ALIKE_DB
    assert placement.in_effect(pipeline_in(engine).pipe) == {"offload": offload}
    kept = [weakref.ref(part) for part in parts_of(pipeline_in(engine).pipe)]
    engine.unload()
    assert [part() for part in kept] == [None] * len(kept)


def test_text_encoders_have_memory_while_they_are_used_and_none_afterwards(model: Callable[[str], Path]) -> None:
    """Counted by the storages that are alive in the whole process, whoever holds them."""

    def alive() -> int:
        gc.collect()
        found = [one.untyped_storage() for one in gc.get_objects() if type(one) in (torch.Tensor, torch.nn.Parameter)]
        return sum({storage.data_ptr(): storage.nbytes() for storage in found}.values())

    before = alive()
    loaded = loaded_with(model("flux"), offload="text_encoders")
    encoder = loaded.pipe.text_encoder_2
    weights = weights_of(loaded.pipe)
    own, others = weights["text_encoder_2"], weights["transformer"] + weights["vae"]
    few = own // 10
    assert others <= alive() - before <= others + few
    tensors = [id(weight) for weight in encoder.parameters()]
    with placement.encoders(loaded):
        loaded.pipe.encode_prompt("a red circle", None, loaded.device)
        assert stored_bytes(encoder) == own
    assert stored_bytes(encoder) <= few
    encode(loaded, [item(0)], params_of("flux"))
    assert stored_bytes(encoder) <= few
    assert alive() - before <= others + few
    assert [id(weight) for weight in encoder.parameters()] == tensors


def parts_of(pipe: Pipeline) -> list[torch.nn.Module]:
    return [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]


def test_sequential_offload_leaves_no_weight_where_it_would_be_used(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = placed(model("sd"), "sequential", monkeypatch)
    pictures_of(engine, tmp_path, params_of("sd", steps=1), PROMPTS)
    for part in parts_of(pipeline_in(engine).pipe):
        assert {weight.device.type for weight in part.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("family", "blocks"),
    [
        ("flux", {"transformer_blocks.0", "single_transformer_blocks.0"}),
        (
            "sd",
            {
                *(f"{way}_blocks.{level}" for way in ("down", "up") for level in range(2)),
                *(f"mid_block.{name}" for name in ("resnets.0", "attentions.0", "resnets.1")),
            },
        ),
    ],
)
def test_group_offload_has_a_group_for_each_block_of_the_denoiser_and_one_for_what_is_in_none(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, family: str, blocks: set[str]
) -> None:
    engine, _ = placed(model(family), "group", monkeypatch)
    denoiser = denoiser_of(pipeline_in(engine).pipe)
    hooked = {name for name, module in denoiser.named_modules() if hasattr(module, "_diffusers_hook")}
    assert hooked == {"", *blocks}


def test_a_model_whose_folder_went_away_says_so_when_its_encoders_are_wanted(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.symlink_to(model("sd"))
    engine, _ = engine_with(folder, offload="text_encoders")
    folder.unlink()
    with pytest.raises(WorkerError) as missing:
        pictures_of(engine, tmp_path, params_of("sd"), PROMPTS)
    assert code_of(missing.value) == "model_missing"
    folder.symlink_to(model("sd"))
    assert len(pictures_of(engine, tmp_path, params_of("sd"), PROMPTS)) == 2


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_what_only_a_card_can_offload_to_is_a_named_downgrade(model: Callable[[str], Path], offload: str) -> None:
    _, facts = engine_with(model("sd"), offload=offload)
    assert only_downgrade(facts) == ("offload", offload, "none")


def test_a_part_that_accelerate_left_out_is_not_offloaded(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = placed(model("sd"), "model", monkeypatch)
    pipe = pipeline_in(engine).pipe
    remove_hook_from_module(pipe.text_encoder)
    assert placement.in_effect(pipe) == {"offload": "none"}
