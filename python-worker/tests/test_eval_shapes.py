"""The examination of the model in the box: what it counts, what it says, and what it refuses."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from kilnwatt_worker.quality.prompt import read
from tests.refusals import refusal
from training import eval_shapes
from training.captions import contract
from training.drawing import draw
from training.eval_shapes import BOX, confusion_of, figures_of, missed_of, report
from training.examination import Artist, Examined, confusion, examine, examined_of, prompts_of
from training.scenes import Lone, Pair, Scene, Thing, held_out

RIGHT = Lone("white", Thing("circle", "red", "large"), "left")
OTHER = Lone("white", Thing("circle", "blue", "large"), "left")
TWO = Pair("black", Thing("star", "yellow", "medium"), Thing("square", "green", "medium"), "above")


def _seen(asked: Scene, drawn: Scene) -> Examined:
    return examined_of(contract(asked), _picture(drawn))


def _picture(scene: Scene) -> Image.Image:
    return Image.fromarray(draw(scene, Random(1)))


class Painter(Artist):
    """Draws the same picture whatever it is asked for."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def draw(self, prompts: Sequence[str], *_how: object, **_named: object) -> list[Image.Image]:
        return [_picture(self._scene) for _ in prompts]


def test_figures_are_parts_of_one_and_pairs_count_when_wholly_right() -> None:
    examined = [_seen(RIGHT, RIGHT), _seen(RIGHT, OTHER), _seen(TWO, TWO), _seen(TWO, RIGHT)]
    figures = figures_of(examined)
    assert (figures["color"], figures["shape"], figures["background"], figures["all"]) == (0.5, 1.0, 1.0, 0.5)
    assert (figures["pairs"], figures["n"], figures["n_pairs"]) == (0.5, 2, 2)
    assert confusion(examined, "color") == {("red", "red"): 1, ("red", "blue"): 1}
    assert confusion_of(examined, "color") == {"red": {"blue": 1, "red": 1}}


def test_what_is_under_its_bar_is_said_and_what_was_not_measured_is_not() -> None:
    good: dict[str, float | int | None] = {
        "color": 0.99,
        "background": 1.0,
        "shape": 0.97,
        "position": 0.95,
        "size": 0.95,
        "pairs": None,
    }
    assert missed_of(good, 0.6, threads=2) == []
    assert missed_of({**good, "color": 0.9833, "pairs": 0.8}, 0.6, threads=2) == [
        "color is 98.33%, under 99%",
        "pairs is 80.00%, under 85%",
    ]
    assert missed_of(good, 0.61, threads=2) == ["a picture alone took 0.61 s, over 0.6 s"]
    assert missed_of(good, 0.61, threads=1) == []


def test_the_report_names_the_prompts_that_went_wrong_and_what_was_seen() -> None:
    examined = [_seen(RIGHT, RIGHT), _seen(RIGHT, OTHER)]
    lines = report(examined, figures_of(examined), {"1": 0.5})
    assert lines[0].startswith("2 pictures of one thing, 0 of two, by 1 different prompts")
    assert lines[-1] == f"  {contract(RIGHT)}: color (seen: large blue circle, left on white)"
    [row] = [line for line in lines if line.startswith("red ")]
    # red, green, blue: one of each asked for and seen
    assert row.split()[1:4] == ["1", ".", "1"]


def test_each_picture_that_is_not_right_is_kept_also_of_one_prompt_twice(tmp_path: Path) -> None:
    prompts = [contract(RIGHT), contract(OTHER), contract(RIGHT)]
    examine(Painter(OTHER), prompts, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{n:03} {contract(RIGHT)}.png" for n in (0, 2)]


def test_the_prompts_of_a_seed_are_the_same_and_all_held_out() -> None:
    assert prompts_of(0, 20, 5) == prompts_of(0, 20, 5)
    assert prompts_of(0, 20, 5) != prompts_of(1, 20, 5)
    assert len(prompts_of(0, 20, 5)) == 25
    for prompt in prompts_of(0):
        asked = read(prompt)
        assert asked is not None
        # Those of a pair are medium: no word says it.
        things = [Thing(each.shape, each.color, each.size or "medium") for each in asked.things]
        assert any(held_out(thing, str(asked.background)) for thing in things), prompt


@pytest.mark.parametrize(
    ("own", "options", "trouble"),
    [
        (None, ["model"], "is missing"),
        ("{", ["model"], "names no native_size"),
        ({"native_size": ["a", "b"], "defaults": {"steps": 20, "guidance": 2}}, ["model"], "names no native_size"),
        ({"native_size": [32, 32]}, ["model"], "names no native_size"),
        (None, [str(BOX), "--device", "cuda:99"], "cuda:99"),
        ({"native_size": [32, 32], "defaults": {"steps": 20, "guidance": 2}}, ["model"], "model"),
        (None, ["model", "--singles", "0", "--pairs", "0"], "nothing to judge"),
        (None, ["model", "--singles", "-1"], "is not a whole number"),
        (None, ["model", "--keep", "file"], "file cannot be a folder for pictures"),
        (None, ["model", "--seed", "-1"], "is not a whole number"),
    ],
)
def test_what_cannot_be_examined_is_refused_in_one_sentence(
    own: object,
    options: list[str],
    trouble: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (tmp_path / "file").write_text("in the way")
    if own is not None:
        (model / "kilnwatt.json").write_text(own if isinstance(own, str) else json.dumps(own))
    monkeypatch.chdir(tmp_path)
    assert trouble in refusal(eval_shapes.main, ["eval-shapes", *options], monkeypatch, capsys)
