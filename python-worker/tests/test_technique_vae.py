"""How pictures are decoded, counted at the decoder."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine import vae as technique
from kilnwatt_worker.diffusers_engine.decode import decode, portions
from kilnwatt_worker.errors import WorkerError
from tests.samples import PARAMS, Recorder, generate_of, item
from tests.techniques import engine_with, loaded_with, params_of, pictures_of, pipeline_in

PROMPTS = ("a red circle", "a blue square", "a green star")


def decoder_calls(path: Path, folder: Path, pixels: int, **settings: object) -> list[tuple[int, int]]:
    """Rows and latents a side, of each call for three pictures."""
    calls: list[tuple[int, int]] = []
    engine, _ = engine_with(path, **settings)
    pipeline_in(engine).pipe.vae.decoder.register_forward_pre_hook(
        lambda _module, given: calls.append((given[0].shape[0], given[0].shape[-1]))
    )
    made = pictures_of(engine, folder, params_of("sd", width=pixels, height=pixels, steps=1), PROMPTS)
    assert len({picture.tobytes() for picture in made}) == len(PROMPTS)
    return calls


@pytest.mark.parametrize(("slicing", "calls"), [(False, [(3, 8)]), (True, [(1, 8)] * 3)])
def test_small_pictures_are_decoded_together_unless_the_vae_slices(
    model: Callable[[str], Path], tmp_path: Path, slicing: bool, calls: list[tuple[int, int]]
) -> None:
    assert decoder_calls(model("sd"), tmp_path, 64, vae_slicing=slicing) == calls


def test_together_they_are_never_more_than_a_tile(model: Callable[[str], Path]) -> None:
    loaded = loaded_with(model("sd"))
    for pixels, together in ((256, 4), (320, 2), (512, 1), (1024, 1)):
        parts = list(portions(loaded, params_of("sd", width=pixels, height=pixels), 5))
        assert parts[0] == slice(0, together)
        assert [row for part in parts for row in range(part.start, part.stop)] == [0, 1, 2, 3, 4]


def test_a_tiled_picture_is_decoded_in_tiles_of_the_size_that_is_reported(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    calls = decoder_calls(model("sd"), tmp_path, 128, vae_tiling=True)
    assert len(calls) > 3
    assert {side * 8 <= 64 for _, side in calls} == {True}


def test_tiling_above_every_picture_is_not_in_effect(model: Callable[[str], Path]) -> None:
    """As `enable_tiling` alone leaves it for SDXL."""
    loaded = loaded_with(model("sd"), vae_tiling=True)
    assert technique.in_effect(loaded.pipe)["vae_tiling"] is True
    loaded.pipe.vae.tile_latent_min_size = 1024 // 8
    assert technique.in_effect(loaded.pipe)["vae_tiling"] is False


def test_a_row_that_is_no_number_fails_alone_among_those_that_are_decoded_together(
    model: Callable[[str], Path],
) -> None:
    loaded = loaded_with(model("sd"))
    rows = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    whole = decode(loaded, rows, PARAMS)
    for bad in range(3):
        spoilt = rows.clone()
        spoilt[bad, 0, 0, 0] = float("nan")
        for row, (before, after) in enumerate(zip(whole, decode(loaded, spoilt, PARAMS), strict=True)):
            assert isinstance(before, torch.Tensor)
            if row == bad:
                assert isinstance(after, WorkerError)
                assert after.code == "black_image"
            else:
                assert isinstance(after, torch.Tensor)
                assert torch.allclose(before, after, atol=1e-5)


def test_a_job_that_is_cancelled_while_its_neighbours_are_saved_gets_no_answer(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    """They were decoded together, so it is decoded already."""

    class Cancelling(Recorder):
        def wanted(self) -> frozenset[str]:
            return super().wanted() - ({"job-1"} if "save" in self.phases else set())

    engine, _ = engine_with(model("sd"))
    generate = generate_of([item(number, tmp_path / str(number)) for number in range(3)])
    recorder = Cancelling(generate)
    engine.generate(generate, recorder)
    assert ([*recorder.images], recorder.failures) == (["job-0", "job-2"], {})
    assert not (tmp_path / "1").exists()
