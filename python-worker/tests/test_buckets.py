"""Batches are padded to few sizes, and nothing of the padding is seen."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine.buckets import padded
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.errors import Stopped
from kilnwatt_worker.parts import Preset
from tests.closeness import psnr
from tests.samples import PARAMS, Recorder, generate_of, item, load_of
from training.eval_shapes import BOX

PLAIN = Preset("plain", dtype="float32")


def engine_of(path: Path, buckets: tuple[int, ...]) -> DiffusersEngine:
    engine = DiffusersEngine()
    facts = engine.load(load_of(path, replace(PLAIN, buckets=buckets)), lambda _level, _message: None)
    assert facts.settings["buckets"] == ",".join(map(str, buckets))
    return engine


def rows_of(module: Pipeline) -> list[int]:
    """How many rows each call of the module has from now on."""
    rows: list[int] = []
    module.register_forward_pre_hook(
        lambda _module, given, named: rows.append(first_of(given, named)), with_kwargs=True
    )
    return rows


def first_of(given: tuple[torch.Tensor, ...], named: dict[str, torch.Tensor]) -> int:
    return len(given[0] if given else named["input_ids"])


@pytest.mark.parametrize(("count", "rows"), [(1, 2), (2, 2), (3, 4), (4, 4), (5, 5)])
def test_a_batch_has_copies_of_its_last_item_up_to_the_next_size(count: int, rows: int) -> None:
    items = [item(number) for number in range(count)]
    made = padded(items, (4, 2))
    assert (made[:count], made[count:]) == (items, [items[-1]] * (rows - count))
    assert padded(items, ()) == items


@pytest.mark.parametrize(("scheduler", "schedule"), [("euler_a", "normal"), ("dpmpp_sde", "karras")])
def test_a_padded_batch_makes_the_same_pictures_whatever_noise_its_scheduler_adds(
    model: Callable[[str], Path], tmp_path: Path, scheduler: str, schedule: str
) -> None:
    params = replace(PARAMS, scheduler=scheduler, schedule=schedule)
    for name, buckets in (("plain", ()), ("padded", (8,))):
        generate = generate_of([item(number, tmp_path / f"{name}-{number}") for number in range(3)], params)
        recorder = Recorder(generate)
        engine_of(model("sd"), buckets).generate(generate, recorder)
        assert list(recorder.images) == ["job-0", "job-1", "job-2"]
    assert [psnr(tmp_path / f"plain-{one}", tmp_path / f"padded-{one}") >= 60 for one in range(3)] == [True] * 3
    assert psnr(tmp_path / "plain-0", tmp_path / "plain-1") < 30


def test_the_model_in_the_box_draws_the_same_in_a_padded_batch(tmp_path: Path) -> None:
    params = replace(PARAMS, steps=6)
    for name, buckets in (("plain", ()), ("padded", (4,))):
        draws = [
            item(number, tmp_path / f"{name}-{number}", prompt="a red circle on a blue background")
            for number in range(2)
        ]
        generate = generate_of(draws, params)
        engine_of(BOX, buckets).generate(generate, Recorder(generate))
    assert [psnr(tmp_path / f"plain-{one}", tmp_path / f"padded-{one}") >= 40 for one in range(2)] == [True] * 2


def test_padding_is_denoised_but_neither_encoded_nor_answered(model: Callable[[str], Path], tmp_path: Path) -> None:
    engine = engine_of(model("sd"), (4,))
    assert engine._loaded is not None
    denoised, encoded = rows_of(engine._loaded.pipe.unet), rows_of(engine._loaded.pipe.text_encoder)
    generate = generate_of([item(number, tmp_path / str(number)) for number in range(2)])
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    assert set(denoised) == {8}, "four rows, with guidance and without"
    assert sum(encoded) == 3, "two prompts and the negative one of both"
    assert recorder.phases.count("save") == 2


def test_a_padded_batch_stops_between_two_steps_when_all_its_jobs_are_cancelled(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    engine = engine_of(model("sd"), (4,))
    recorder = Recorder(generate_of([item(0, tmp_path / "0")]), cancel_at=2)
    with pytest.raises(Stopped):
        engine.generate(recorder.generate, recorder)
    assert recorder.steps == [(1, 4), (2, 4)]
