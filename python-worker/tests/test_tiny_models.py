import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from transformers import CLIPTokenizer, T5Tokenizer

from tests.worker_process import PACKAGE_ROOT
from tiny_models.__main__ import main
from tiny_models.pipelines import RECIPES
from tiny_models.vocabulary import clip_tokenizer, t5_tokenizer
from tiny_models.writing import ensure


@pytest.mark.parametrize("name", RECIPES)
def test_a_model_is_small_and_kept_when_it_is_there(name: str, tmp_path: Path) -> None:
    made = ensure(RECIPES[name], tmp_path)
    assert made.made
    assert made.bytes < 20_000_000
    before = sorted((file, file.stat().st_mtime_ns) for file in made.path.rglob("*"))
    assert not ensure(RECIPES[name], tmp_path).made
    assert before == sorted((file, file.stat().st_mtime_ns) for file in made.path.rglob("*"))
    assert [path.name for path in tmp_path.iterdir()] == [RECIPES[name].folder]


def test_two_makings_of_a_model_are_equal_to_the_byte(tmp_path: Path) -> None:
    weights = "unet/diffusion_pytorch_model.safetensors"
    one, other = (ensure(RECIPES["sd"], tmp_path / side).path for side in ("one", "other"))
    assert (one / weights).read_bytes() == (other / weights).read_bytes()


def test_a_folder_that_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "tiny-sd" / "unet").mkdir(parents=True)
    assert ensure(RECIPES["sd"], tmp_path).made
    assert (
        json.loads((tmp_path / "tiny-sd" / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"
    )


def test_the_script_takes_no_package_from_the_folder_that_it_is_called_from(tmp_path: Path) -> None:
    for name in ("torch", "diffusers", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user was taken for a package')")
    ended = subprocess.run(
        [PACKAGE_ROOT.parent / "scripts" / "make-test-models", tmp_path, "--only", "none"],
        cwd=tmp_path,
        env={**os.environ, "KILNWATT_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "--only knows sd" in ended.stderr


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[Path], str]:
    """The one line with which the command says that a model cannot be put there."""

    def told(folder: Path) -> str:
        monkeypatch.setattr(sys, "argv", ["make-test-models", str(folder), "--only", "sd"])
        assert main() == 1
        [line] = capsys.readouterr().err.splitlines()
        return line

    return told


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """In bytes, for all of this process: over before pytest writes that the test has passed, perhaps to a file too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("most", [1024, 65_536], ids=["in the settings", "in the weights"])
def test_a_disk_that_takes_no_more_is_one_sentence_and_leaves_nothing_behind(
    refusal: Callable[[Path], str], tmp_path: Path, most: int
) -> None:
    """A limit on the size of files stands for the full disk: both end a write in the middle."""
    with files_of_at_most(most):
        said = refusal(tmp_path / "models")
    assert said.startswith(f"the models cannot be written to {tmp_path / 'models'} (")
    assert "free some space or name another folder" in said
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_that_cannot_be_one_is_one_sentence(refusal: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert "name another folder" in refusal(tmp_path / "file")


def test_the_clip_tokenizer_reads_known_words_as_one_token_and_loses_nothing(tmp_path: Path) -> None:
    clip_tokenizer().save_pretrained(tmp_path)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    ids = tokenizer("a red circle, été")["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id
    assert len(tokenizer("a red circle")["input_ids"]) == 5
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == "aredcircle,été"


def test_the_t5_tokenizer_survives_being_saved(tmp_path: Path) -> None:
    t5_tokenizer().save_pretrained(tmp_path)
    tokenizer = T5Tokenizer.from_pretrained(tmp_path)
    ids = tokenizer("a red circle")["input_ids"]
    assert len(ids) == 4
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == "a red circle"
