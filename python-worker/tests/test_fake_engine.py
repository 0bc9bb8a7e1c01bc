"""What the fake engine plays at besides death, which the tests of the loop and of its supervisor see."""

from dataclasses import replace
from pathlib import Path

import pytest

from kilnwatt_worker.errors import OutOfMemory
from kilnwatt_worker.fake_engine import FakeEngine, read_script
from tests.samples import PRESET, Recorder, generate_of, item, load_of


def loaded(script: str, **preset: object) -> FakeEngine:
    engine = FakeEngine(read_script(script))
    engine.load(load_of("/models/none", replace(PRESET, **preset)), lambda _level, _message: None)  # type: ignore[arg-type]
    return engine


@pytest.mark.parametrize(("preset", "pictures", "fits"), [("plain", 2, True), ("plain", 3, False), ("other", 3, True)])
def test_memory_runs_out_by_the_pixels_of_a_batch_and_the_name_of_the_preset(
    tmp_path: Path, preset: str, pictures: int, fits: bool
) -> None:
    engine = loaded(f'{{"memory_pixels": {{"plain": {2 * 64 * 64}}}}}', name=preset)
    generate = generate_of([item(number, tmp_path / str(number)) for number in range(pictures)])
    recorder = Recorder(generate)
    if not fits:
        with pytest.raises(OutOfMemory, match="with 3 items, ran out of memory"):
            engine.generate(generate, recorder)
    else:
        engine.generate(generate, recorder)
    assert len(recorder.images) == (pictures if fits else 0)


@pytest.mark.parametrize(("vae_dtype", "black"), [("auto", {"job-0", "job-1"}), ("float32", {"job-1"})])
def test_a_black_picture_can_be_mended_by_the_vae_or_by_nothing(
    tmp_path: Path, vae_dtype: str, black: set[str]
) -> None:
    engine = loaded('{"black_on": "DARK", "black_always_on": "NIGHT"}', vae_dtype=vae_dtype)
    prompts = ["DARK", "NIGHT", "day"]
    generate = generate_of([item(number, tmp_path / str(number), prompt) for number, prompt in enumerate(prompts)])
    recorder = Recorder(generate)
    engine.generate(generate, recorder)
    assert {job for job, error in recorder.failures.items() if error.code == "black_image"} == black
    assert {*recorder.images, *black} == {"job-0", "job-1", "job-2"}
