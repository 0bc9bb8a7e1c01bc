"""The checker: what is drawn is found, what is not there is not, and the prompt is not asked."""

import math
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from PIL import Image

from kilnwatt_worker.quality.compare import mean_absolute_difference, psnr, ssim
from kilnwatt_worker.quality.describe import NOTHING, describe
from kilnwatt_worker.quality.prompt import Asked, AskedThing, read
from kilnwatt_worker.quality.verdict import QUESTIONS, Verdict, accuracy
from kilnwatt_worker.quality.vocabulary import COLORS, SHAPES, SIZES
from tests.drawings import Spoil, blurred, jpeg, plain, prompts_and_pictures, things_in, verdict_on
from training.captions import wording
from training.drawing import draw
from training.scenes import Lone, Scene, Thing, lone, pair


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("spoil", [plain, blurred, jpeg])
def test_what_is_drawn_is_found(side: int, spoil: Spoil) -> None:
    verdicts = [verdict_on(prompt, spoil(picture)) for prompt, picture in prompts_and_pictures(240, side)]
    found = accuracy(verdicts)
    assert {question: part for question, part in found.items() if part is None or part < 0.99} == {}


def test_each_shape_is_found_in_each_color() -> None:
    wrong = []
    for color in COLORS:
        background = "black" if color == "white" else "white"
        for shape in SHAPES:
            picture = draw(Lone(background, Thing(shape, color, "small"), "center"), Random(shape), 96)
            if things_in(describe(picture)) != [(color, shape, "small", "center")]:
                wrong.append((color, shape))
    assert wrong == []


def test_pictures_under_the_wrong_prompts_are_right_by_chance_only() -> None:
    known = prompts_and_pictures(200, 64, seed=1)
    singles = [(prompt, picture) for prompt, picture in known if " of " not in prompt and " above " not in prompt]
    pictures = [picture for _, picture in singles]
    shuffled = [*pictures[7:], *pictures[:7]]
    found = accuracy(verdict_on(prompt, picture) for (prompt, _), picture in zip(singles, shuffled, strict=True))
    # One of ten, of three, of five; with as few pictures as this, luck may double it.
    assert all(0 < (found[question] or 0) < 0.25 for question in ("color", "background", "shape"))
    assert 0.15 < (found["size"] or 0) < 0.55
    assert 0.08 < (found["position"] or 0) < 0.4
    assert found["all"] == 0


def test_nothing_is_found_in_noise() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        assert describe(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) == NOTHING


def test_a_thing_of_many_colors_on_a_plain_ground_is_unknown() -> None:
    """No pixel of it need be near the median of its colours."""
    rng = np.random.default_rng(4)
    palettes = [np.array([[250, 128, 128], [128, 250, 128], [128, 128, 250]]), rng.integers(0, 256, (64, 3))]
    for palette in palettes:
        for _ in range(20):
            picture = np.full((64, 64, 3), 128, dtype=np.uint8)
            picture[20:44, 20:44] = palette[rng.integers(len(palette), size=(24, 24))]
            seen = describe(picture)
            assert seen.background == "gray"
            assert all(thing.shape in (None, "square") for thing in seen.things)


def test_no_thing_is_found_in_a_blank_picture() -> None:
    for name, color in COLORS.items():
        seen = describe(Image.new("RGB", (64, 64), color))
        assert (seen.background, seen.things) == (name, ())


def test_what_is_no_shape_of_ours_is_unknown() -> None:
    picture = np.full((64, 64, 3), 245, dtype=np.uint8)
    picture[20:44:4, 10:54] = 20  # six bars, more things than there can be
    assert describe(picture).things == ()
    bar = np.full((64, 64, 3), 245, dtype=np.uint8)
    bar[30:34, 8:56] = 20
    assert [thing.shape for thing in describe(bar).things] == [None]


def test_a_color_without_a_name_is_unknown() -> None:
    picture = draw(Lone("white", Thing("circle", "black", "large"), "center"), Random(1), 64).copy()
    picture[(picture < 100).all(axis=2)] = (120, 90, 20)
    assert [(thing.shape, thing.color) for thing in describe(picture).things] == [("circle", None)]


def test_places_are_told_in_pictures_that_are_not_square() -> None:
    picture = np.full((64, 192, 3), 245, dtype=np.uint8)
    picture[20:44, 130:154] = COLORS["red"]
    assert things_in(describe(picture)) == [("red", "square", "medium", "right")]


def test_a_picture_too_small_to_tell_shows_nothing() -> None:
    assert describe(np.zeros((16, 16, 3), dtype=np.uint8)) == NOTHING


@pytest.mark.parametrize("make", [lone, pair])
def test_every_wording_is_read_as_what_it_says(make: Callable[[Random], Scene]) -> None:
    rng = Random(4)
    for _ in range(500):
        scene = make(rng)
        said = wording(scene, rng)
        asked = read(said)
        assert asked is not None, said
        assert asked.things == _asked_of(scene), said
        names_it = scene.background in said.replace("grey", "gray")  # no thing has the colour of its background
        assert asked.background == (scene.background if names_it else None), said


def _asked_of(scene: Scene) -> tuple[AskedThing, ...]:
    if isinstance(scene, Lone):
        return (AskedThing(scene.thing.shape, scene.thing.color, scene.thing.size, scene.place),)
    places = ("left", "right") if scene.relation == "left of" else ("top", "bottom")
    return tuple(
        AskedThing(thing.shape, thing.color, None, place) for thing, place in zip(scene.things, places, strict=True)
    )


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("A Large RED circle, on a blue background.", Asked("blue", (AskedThing("circle", "red", "large", "center"),))),
        ("grey ring at the top", Asked(None, (AskedThing("ring", "gray", "medium", "top"),))),
        ("a red circle on yellow", Asked("yellow", (AskedThing("circle", "red", "medium", "center"),))),
    ],
)
def test_a_prompt_says_what_to_look_for(prompt: str, asked: Asked) -> None:
    assert read(prompt) == asked


@pytest.mark.parametrize("prompt", ["", "a lighthouse at dusk", "a red circle and a blue star", "left of a red circle"])
def test_a_prompt_outside_the_grammar_is_not_judged(prompt: str) -> None:
    assert read(prompt) is None


def test_unknown_counts_as_wrong_and_what_was_not_asked_does_not_count() -> None:
    red_circle = draw(Lone("blue", Thing("circle", "red", "medium"), "center"), Random(1), 64)
    assert verdict_on("a red circle", red_circle) == Verdict(True, None, True, True, True)
    assert verdict_on("a red circle on a green background", red_circle).background is False
    blank = verdict_on("a red circle on a blue background", np.full((64, 64, 3), 132, dtype=np.uint8))
    assert blank == Verdict(False, False, False, False, False)
    assert verdict_on("a red circle left of a red circle", red_circle) == Verdict(False, None, False, None, False)
    assert accuracy([blank])["all"] == 0
    assert accuracy([]) == {**dict.fromkeys(QUESTIONS), "all": None}


def test_the_words_of_the_vocabulary_mean_different_things() -> None:
    assert len({*COLORS.values()}) == len(COLORS) >= 10
    assert len({*SHAPES}) == len(SHAPES) >= 10
    assert sorted(SIZES.values()) == list(SIZES.values())


# ------------------------------------------------------------------------------------ comparing


def test_a_picture_is_like_itself() -> None:
    [(_, image)] = prompts_and_pictures(1, 64)
    picture = np.asarray(image)
    assert (mean_absolute_difference(picture, picture), psnr(picture, picture)) == (0, math.inf)
    assert ssim(picture, picture) == pytest.approx(1)


def test_a_known_difference_has_known_figures() -> None:
    one, other = (np.full((32, 32, 3), value, dtype=np.uint8) for value in (100, 110))
    assert mean_absolute_difference(one, other) == 10
    assert psnr(one, other) == pytest.approx(10 * math.log10(255**2 / 100))
    # Without structure only the means count: (2ab + C) / (a² + b² + C).
    steady = (0.01 * 255) ** 2
    assert ssim(one, other) == pytest.approx((2 * 100 * 110 + steady) / (100**2 + 110**2 + steady))


def test_the_more_noise_the_less_alike() -> None:
    [(_, image)] = prompts_and_pictures(1, 64)
    picture = np.asarray(image)
    rng = np.random.default_rng(1)
    noisy = [np.clip(picture + rng.normal(0, spread, picture.shape), 0, 255).astype(np.uint8) for spread in (2, 10, 50)]
    assert [ssim(picture, one) for one in noisy] == sorted((ssim(picture, one) for one in noisy), reverse=True)
    assert [psnr(picture, one) for one in noisy] == sorted((psnr(picture, one) for one in noisy), reverse=True)
    assert ssim(picture, noisy[2]) < 0.5 < ssim(picture, noisy[0])


def test_pictures_of_two_sizes_are_not_compared() -> None:
    one, other = np.zeros((32, 32, 3), dtype=np.uint8), np.zeros((32, 33, 3), dtype=np.uint8)
    for measure in (mean_absolute_difference, psnr, ssim):
        with pytest.raises(ValueError, match="two sizes"):
            measure(one, other)
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(one[:8], one[:8])
