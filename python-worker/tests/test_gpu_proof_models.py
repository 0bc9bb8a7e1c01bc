"""Models without weights, and what comes of one visit with a preset."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.load import Read
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.model_folder import ModelFolder, judge
from kilnwatt_worker.parts import Preset
from proof.architectures import ARCHITECTURES, Architecture, refuse_wrong_sizes
from proof.building import build, models_of, reader, write_folder
from proof.plan import SMALL, Run, Visit
from proof.record import tidy
from proof.running import Case, Runner, outcome_of
from proof.single import single_techniques
from tiny_models.pipelines import RECIPES

CPU = torch.device("cpu")
PLAIN = Preset("plain")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_real_architectures_have_the_published_numbers_of_parameters(name: str, tmp_path: Path) -> None:
    write_folder(ARCHITECTURES[name], tmp_path / name)
    assert (tmp_path / name / "model_index.json").is_file()
    assert sum(file.stat().st_size for file in tmp_path.rglob("*")) < 20e6


def test_a_part_of_another_size_is_refused() -> None:
    wrong = Architecture(RECIPES["sd"].make, {"unet": 859.52})
    with pytest.raises(ValueError, match=r"the part unet has .* million parameters, and 859\.52 are known"):
        refuse_wrong_sizes(wrong.make(), wrong)


@pytest.fixture
def without_weights(tmp_path: Path) -> tuple[DiffusersEngine, Path]:
    """An engine that makes what it loads, and the folder of a model that has configs only."""
    tiny = {name: Architecture(RECIPES[name].make, {}) for name in ("sd", "sdxl", "flux")}
    for name, architecture in tiny.items():
        write_folder(architecture, tmp_path / name)
    return DiffusersEngine(reader(tiny, CPU)), tmp_path


@pytest.mark.parametrize("family", ["sd", "flux"])
def test_a_model_without_weights_is_made_on_the_device_and_goes_the_way_of_any_model(
    without_weights: tuple[DiffusersEngine, Path], family: str
) -> None:
    engine, folder = without_weights
    case: Case = {}
    runner = runner_of(engine, folder, integral=lambda _begin, _end: 7)
    runner.visit(Visit(SMALL[family], PLAIN, "plain", (Run(1, 2), Run(2, 2)), PLAIN), case)
    assert case["outcome"] == "in effect"
    runs = tidy(case["runs"])
    assert isinstance(runs, list)
    assert [(run["batch"], run["role"]) for run in runs] == [(1, "cold"), (1, "warm"), (2, "cold"), (2, "warm")]
    assert ["psnr_to_plain_db" in run for run in runs] == [False, False, True, True]
    assert all(run["psnr_to_plain_db"] is None or run["psnr_to_plain_db"] > 40 for run in runs[2:])
    assert {run["energy"]["integral_mj"] for run in runs} == {7}
    assert all(run["work"]["teraflops"] > 0 and run["step_seconds"]["count"] == 2 for run in runs)


def test_sdxl_in_float16_has_its_vae_made_again_in_float32_and_not_read_from_files_that_hold_nothing(
    without_weights: tuple[DiffusersEngine, Path],
) -> None:
    """On a card every load of SDXL failed with `Cannot copy out of meta tensor`: there float16 is the default."""
    engine, folder = without_weights
    case: Case = {}
    visit = Visit(SMALL["sdxl"], Preset("half", dtype="float16"), "preset", (Run(1, 1),), PLAIN)
    runner_of(engine, folder).visit(visit, case)
    assert case.get("reason") is None
    assert isinstance(case["settings"], dict)
    assert (case["settings"]["dtype"], case["settings"]["vae_dtype"]) == ("float16", "float32")


def test_the_weights_are_the_same_in_every_dtype_so_that_pictures_can_be_compared() -> None:
    whole, half = (build(RECIPES["sd"].make, CPU, dtype).unet for dtype in (torch.float32, torch.float16))
    for name, weight in whole.named_parameters():
        assert torch.allclose(weight, half.get_parameter(name).float(), atol=1e-7), name


def test_a_part_that_is_made_again_has_the_weights_that_it_had_in_the_pipeline(
    without_weights: tuple[DiffusersEngine, Path],
) -> None:
    read = reader({"sd": Architecture(RECIPES["sd"].make, {})}, CPU)
    folder = judge(str(without_weights[1] / "sd"))
    whole = read.whole(folder, torch.float32)
    for name in ("vae", "text_encoder"):
        again = read.part(folder, name, torch.float32)
        assert all(
            torch.equal(weight, again.get_parameter(at)) for at, weight in whole.components[name].named_parameters()
        )


def test_weights_of_zeros_are_refused_because_they_run_faster() -> None:
    def zeroed() -> Pipeline:
        pipe = RECIPES["sd"].make()
        pipe.text_encoder.config.initializer_factor = 0.0
        return pipe

    with pytest.raises(ValueError, match=r"CLIPTextModel begins with the weight .* at zero; give it random values"):
        build(zeroed, CPU, torch.float32)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("preset_impossible", "refused"),
        ("preset_package_missing", "refused"),
        ("preset_not_in_effect", "failed"),
        ("out_of_memory", "out of memory"),
        ("internal", "failed"),
    ],
)
def test_a_preset_that_silently_does_not_hold_is_a_defect_and_a_refusal_is_an_answer(code: str, outcome: str) -> None:
    assert outcome_of(WorkerError(code, "")) == outcome


def test_a_load_that_fails_in_a_way_that_nobody_foresaw_is_a_case_too(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    def read(_folder: ModelFolder, _dtype: torch.dtype) -> Pipeline:
        raise ZeroDivisionError("of a library")

    def part(_folder: ModelFolder, _name: str, _dtype: torch.dtype) -> Pipeline:
        raise AssertionError("nothing is loaded that could need a part again")

    case: Case = {}
    runner = replace(runner_of(DiffusersEngine(Read(read, part)), tmp_path), folders={"sd": model("sd")})
    runner.visit(Visit(SMALL["sd"], PLAIN, "plain", (Run(1, 2),), PLAIN), case)
    assert (case["outcome"], case["reason"]) == ("failed", "ZeroDivisionError: of a library")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[DiffusersEngine, Path]:
    folder = tmp_path_factory.mktemp("small")
    folders, read = models_of(["sd"], True, folder, CPU)
    folders["sd"].rename(folder / "sd")
    return DiffusersEngine(read), folder


def case_of(small: tuple[DiffusersEngine, Path], preset: Preset, *runs: Run) -> list[dict[str, object]]:
    """What is in the record of the runs of a preset that is in effect."""
    case: Case = {}
    runner_of(*small).visit(Visit(SMALL["sd"], preset, "technique", runs, PLAIN), case)
    assert case["outcome"] == "in effect", case
    told = tidy(case["runs"])
    assert isinstance(told, list)
    return told


def test_warm_runs_encode_their_prompts_too_where_a_cache_would_know_those_of_the_cold_ones(
    small: tuple[DiffusersEngine, Path],
) -> None:
    runs = case_of(small, Preset("cached", prompt_cache=64), Run(2, 1), Run(1, 1))
    assert [run["work"]["cached_prompts"] for run in runs[:2]] == [0, 0]  # type: ignore[index]


def test_loras_of_random_numbers_are_swapped_and_each_changes_the_picture(small: tuple[DiffusersEngine, Path]) -> None:
    [swap] = [preset for preset in single_techniques("sdxl", "cpu") if preset.lora_rank]
    pictures = []
    for number in (0, 1, 2):
        [cold, _] = case_of(small, swap, Run(1, 2, lora=number))
        assert cold["lora"] == number
        pictures.append((small[1] / "pictures" / "0.png").read_bytes())
    assert len(set(pictures)) == 3


def test_previews_are_decoded_by_a_tiny_vae_that_the_proof_makes(small: tuple[DiffusersEngine, Path]) -> None:
    assert len(case_of(small, Preset("preview", decoder="tiny"), Run(1, 1))) == 2


def runner_of(
    engine: DiffusersEngine, folder: Path, integral: Callable[[float, float], int | None] = lambda _begin, _end: None
) -> Runner:
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    return Runner(engine, "cpu", {name: folder / name for name in ("sd", "sdxl", "flux")}, pictures, integral)
