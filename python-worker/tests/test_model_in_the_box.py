"""The model that is shipped: small, safe, and it draws what it is asked for. The whole examination is `eval-shapes`."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from kilnwatt_worker.model_folder import judge
from kilnwatt_worker.quality.compare import mean_absolute_difference, ssim
from kilnwatt_worker.quality.verdict import accuracy
from training.eval_shapes import BOX, weights_hash
from training.examination import PAIRS, SINGLES, Artist, examine, examined_of, prompts_of
from training.recipe import FULL, steps_of
from training.writing import DEFAULTS

MOST_BYTES = 15_000_000
RECORD = Path(__file__).parents[2] / "bench" / "records" / "kiln-shapes.json"


@pytest.fixture(scope="module")
def artist() -> Artist:
    return Artist(BOX, "cpu")


def test_it_is_small_and_holds_no_code() -> None:
    files = [file for file in BOX.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    assert {file.suffix for file in files} == {".safetensors", ".json", ".md"}
    assert judge(str(BOX)).pipeline_class == "StableDiffusionPipeline"


def test_its_weights_are_in_half_precision() -> None:
    kinds = {tensor.dtype for file in BOX.rglob("*.safetensors") for tensor in load_file(file).values()}
    assert kinds == {torch.float16}


def test_it_draws_prompts_that_its_training_never_saw(artist: Artist) -> None:
    """A few of the kind that `eval-shapes` judges, on which one more may be wrong by luck."""
    examined = examine(artist, prompts_of(0, singles=32, pairs=8))
    singles = accuracy(each.verdict for each in examined if len(each.asked.things) == 1)
    assert {question: part for question, part in singles.items() if (part or 0) < 0.9} == {}
    assert (accuracy(each.verdict for each in examined if len(each.asked.things) == 2)["all"] or 0) >= 0.75


def test_the_same_seed_is_the_same_picture_alone_and_in_a_batch(artist: Artist) -> None:
    prompts = ["a red circle on a blue background", "a small white star on the left on a purple background"]
    together = artist.draw(prompts, [5, 6])
    alone = [artist.draw([prompt], [seed])[0] for prompt, seed in zip(prompts, (5, 6), strict=True)]
    for one, other in zip(together, alone, strict=True):
        assert mean_absolute_difference(np.asarray(one), np.asarray(other)) < 0.01
    [another] = artist.draw([prompts[0]], [99])
    assert ssim(np.asarray(another), np.asarray(alone[0])) < 1


@pytest.mark.parametrize("size", [(64, 64), (64, 256), (192, 128), (256, 256)])
def test_other_sizes_work(artist: Artist, size: tuple[int, int]) -> None:
    [picture] = artist.draw(["a red circle on a blue background"], [1], size=size, steps=4)
    assert picture.size == size


def test_the_example_of_its_card_draws_what_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [_, code, *_] = re.split(r"```(?:python)?\n", (BOX / "README.md").read_text(encoding="utf-8"))
    (tmp_path / "python-worker").symlink_to(RECORD.parents[2] / "python-worker")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    scope: dict[str, Any] = {}
    exec(code, scope)
    assert examined_of(scope["prompt"], Image.open(tmp_path / "shapes.png")).verdict.right


def test_its_card_says_how_it_was_trained() -> None:
    card = (BOX / "README.md").read_text(encoding="utf-8")
    assert f"{FULL.pictures:,} pictures" in card
    assert f"{steps_of(FULL.autoencoder.stretches):,} steps on cut-outs" in card
    assert f"{FULL.colors.steps:,} steps that hold the colours apart" in card
    assert f"the decoder alone, {FULL.decoder.steps:,} steps" in card
    assert f"{FULL.reading.steps:,} steps of {FULL.reading.batch} captions" in card
    assert f"{FULL.denoiser.steps:,} steps of {FULL.denoiser.batch} pictures" in card
    assert "@" not in card


def test_its_record_is_of_these_weights_and_of_the_settings_that_it_ships_with() -> None:
    own = json.loads((BOX / "kilnwatt.json").read_text(encoding="utf-8"))
    assert own == {"native_size": [128, 128], "defaults": DEFAULTS}
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record["missed"] == []
    for what in ("shape", "color"):
        table = record["confusion"][what]
        assert sum(count for row in table.values() for count in row.values()) == SINGLES
        assert sum(row.get(word, 0) for word, row in table.items()) == round(record[what] * SINGLES)
    assert (record["n"], record["n_pairs"]) == (SINGLES, PAIRS)
    assert record["weights"] == weights_hash(BOX)
    assert record["pixels"] == "128x128"
    assert record["settings"] == f"dpmpp_2m, {DEFAULTS['steps']} steps, guidance {DEFAULTS['guidance']}"
