"""Fetching from the hub, with a hub of our own on the loopback interface."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from kilnwatt_worker.fetch import choose, told
from tests.worker_process import PACKAGE_ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "kiln/tiny-sd"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a fetch needs. `files` is the repository."""

    folder: Path
    asked: list[str]

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        path = self.path.split("?", maxsplit=1)[0]
        self.asked.append(path)
        body = self._body(path)
        self.send_response(404 if body is None else 200)
        if body is None:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if with_body:
            self.wfile.write(body or b"")

    def _body(self, path: str) -> bytes | None:
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        sizes = {file.relative_to(self.folder).as_posix(): file.stat().st_size for file in files}
        if path in (f"/api/models/{NAME}/tree/main", f"/api/models/{NAME}/tree/{COMMIT}"):
            tree = [{"type": "file", "path": name, "size": size, "oid": "1"} for name, size in sizes.items()]
            return json.dumps(tree).encode()
        if path in (f"/api/models/{NAME}/revision/main", f"/api/models/{NAME}/revision/{COMMIT}"):
            siblings = [{"rfilename": name} for name in sizes]
            return json.dumps({"_id": "1", "id": NAME, "sha": COMMIT, "siblings": siblings}).encode()
        for revision in ("main", COMMIT):
            prefix = f"/{NAME}/resolve/{revision}/"
            if path.startswith(prefix) and (self.folder / path.removeprefix(prefix)).is_file():
                return (self.folder / path.removeprefix(prefix)).read_bytes()
        return None

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def hub(model: Callable[[str], Path], tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the paths that it was asked for."""
    folder = Path(shutil.copytree(model("sd"), tmp_path / "repository"))
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    (folder / "whole.safetensors").write_bytes(b"a second copy of everything")
    asked: list[str] = []
    handler = type("ThisHub", (Hub,), {"folder": folder, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fetch(name: str, endpoint: str, cache: Path, *more: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and "proxy" not in key.lower()}
    return subprocess.run(
        [sys.executable, "-m", "kilnwatt_worker.fetch", name, *more],
        env={**env, "PYTHONPATH": str(PACKAGE_ROOT), "HF_ENDPOINT": endpoint, "HF_HOME": str(cache)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_model_is_fetched_once_without_pickles_and_found_in_the_cache_afterwards(
    hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    endpoint, asked = hub
    fetched = fetch(NAME, endpoint, tmp_path / "cache")
    assert fetched.returncode == 0, fetched.stderr
    folder = Path(json.loads(fetched.stdout)["path"])
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").is_file()
    assert not [path for path in asked if path.endswith((".bin", "whole.safetensors"))]

    asked.clear()
    again = fetch(NAME, endpoint, tmp_path / "cache")
    assert json.loads(again.stdout)["path"] == str(folder)
    assert asked == []


def test_what_was_cut_off_is_completed(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    endpoint, _ = hub
    folder = Path(json.loads(fetch(NAME, endpoint, tmp_path / "cache").stdout)["path"])
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    again = fetch(NAME, endpoint, tmp_path / "cache")
    assert json.loads(again.stdout)["path"] == str(folder)
    assert (folder / "vae" / "diffusion_pytorch_model.safetensors").is_file()


def test_half_precision_weights_that_another_program_fetched_are_not_fetched_again_as_plain_ones(
    hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    endpoint, asked = hub
    for weights in (tmp_path / "repository").glob("*/*.safetensors"):
        shutil.copy(weights, weights.with_suffix(".fp16.safetensors"))
    folder = Path(json.loads(fetch(NAME, endpoint, tmp_path / "cache").stdout)["path"])
    for weights in [*folder.glob("*/*.safetensors")]:
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    asked.clear()
    assert json.loads(fetch(NAME, endpoint, tmp_path / "cache").stdout)["path"] == str(folder)
    assert asked == []

    (folder / "vae" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    fetch(NAME, endpoint, tmp_path / "cache")
    assert [path.name for path in (folder / "vae").glob("*.safetensors")] == ["diffusion_pytorch_model.safetensors"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("kiln/unknown", "the hub has no model kiln/unknown"), ("not a name", "not a name is no hub id")],
)
def test_a_name_that_is_unknown_is_one_sentence_and_exit_3(
    hub: tuple[str, list[str]], tmp_path: Path, name: str, sentence: str
) -> None:
    ended = fetch(name, hub[0], tmp_path / "cache")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert sentence in ended.stderr.splitlines()[-1]


def test_a_hub_out_of_reach_is_one_sentence_and_exit_3(tmp_path: Path) -> None:
    ended = fetch(NAME, "http://127.0.0.1:9", tmp_path / "cache")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "the hub cannot be reached" in ended.stderr.splitlines()[-1]


def test_a_part_with_pickles_only_is_refused_before_any_weights_are_fetched(
    hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    endpoint, asked = hub
    vae = tmp_path / "repository" / "vae"
    (vae / "diffusion_pytorch_model.safetensors").rename(vae / "diffusion_pytorch_model.bin")
    ended = fetch(NAME, endpoint, tmp_path / "cache")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1].startswith(f"the part vae of {NAME} has pickle weights only")
    assert not [path for path in asked if path.endswith((".safetensors", ".bin"))]


def test_a_repository_of_one_checkpoint_is_refused_as_pickles(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.rmtree(repository)
    repository.mkdir()
    (repository / "v1-5-pruned.ckpt").write_bytes(b"pickle")
    ended = fetch(NAME, hub[0], tmp_path / "cache")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1].startswith(f"{NAME} has pickle weights only")


def test_a_cache_that_cannot_be_written_is_not_taken_for_the_network(
    hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    ended = fetch(NAME, hub[0], tmp_path / "file")
    assert (ended.returncode, ended.stdout) == (1, "")
    sentence = ended.stderr.splitlines()[-1]
    assert f"cannot be written to {tmp_path / 'file'}" in sentence
    assert "network" not in sentence


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "no space is left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 1, "no space is left"),
        (RuntimeError("Data processing error: No space left on device (os error 28)"), 1, "no space is left"),
        (PermissionError(errno.EACCES, "Permission denied"), 1, "cannot be written"),
        (OSError(errno.EROFS, "Read-only file system"), 1, "cannot be written"),
        (httpx.ConnectError("Permission denied"), 3, "the hub cannot be reached"),
        (RuntimeError("Data processing error: request failed"), 3, "the hub cannot be reached"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_the_disk_is_told_apart_from_the_network(error: Exception, code: int, sentence: str) -> None:
    found, words = told(NAME, "main", error)
    assert found == code
    assert sentence in words


def test_of_two_precisions_the_plain_one_is_chosen_and_of_one_that_one() -> None:
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    }
    files = [
        "README.md",
        "model_index.json",
        "v1-5-pruned.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "vae/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
        "vae/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
        "vae/diffusion_pytorch_model.safetensors.index.fp16.json",
        "safety_checker/model.safetensors",
    ]
    assert choose(files, index) == [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
        "vae/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
        "vae/diffusion_pytorch_model.safetensors.index.fp16.json",
    ]
