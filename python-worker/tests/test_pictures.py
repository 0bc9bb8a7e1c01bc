from pathlib import Path

import pytest
from PIL import Image

from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Format
from kilnwatt_worker.pictures import save

NOISE = Image.effect_noise((256, 256), 64).convert("RGB")
FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp")


@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_has_a_code_of_its_own_in_every_format(form: Format) -> None:
    with pytest.raises(WorkerError, match="no space is left for the picture /dev/full") as full:
        save(NOISE, "/dev/full", form)
    assert (full.value.code, full.value.retryable) == ("disk_full", False)


@pytest.mark.parametrize("form", FORMATS)
def test_a_place_that_takes_no_file_is_not_writable(form: Format, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkerError, match="Not a directory") as barred:
        save(NOISE, str(tmp_path / "file" / "0.part"), form)
    assert barred.value.code == "not_writable"


def test_a_folder_that_was_taken_away_is_the_trouble_of_the_disk(tmp_path: Path) -> None:
    """Whoever deletes it in mid-run, or unplugs its disk, costs time: three tries at it had failed every job."""
    with pytest.raises(WorkerError, match="is gone") as missing:
        save(NOISE, str(tmp_path / "missing" / "0.part"), "png")
    assert (missing.value.code, missing.value.retryable) == ("not_writable", True)


def test_a_picture_that_cannot_be_encoded_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    """The orchestrator stops for its disk's sake; this one fails alone."""
    with pytest.raises(OSError, match="cannot write mode RGBA as JPEG"):
        save(NOISE.convert("RGBA"), str(tmp_path / "0.part"), "jpeg")
