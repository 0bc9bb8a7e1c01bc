"""Models for all tests, made once; nothing here reaches a network."""

import gc
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

# Tiny models gain nothing from threads, and on a busy machine lose minutes to waiting for each other.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["DIFFUSERS_VERBOSITY"] = "error"
# Some hosts let processes read the energy of their processors, and figures must not depend on the host.
os.environ["KW_POWERCAP"] = "/nonexistent"
# What torch compiles is found by its content; kept for the next run of the tests, and not in the user's home.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir()) / "kilnwatt-tests-inductor"))


def pytest_collection_finish() -> None:
    """Each unload collects garbage, and would look through all that the libraries made when they were imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model: `sd`, `sdxl` or `flux`."""
    folder = tmp_path_factory.mktemp("models")

    def ensure(name: str) -> Path:
        from tiny_models.pipelines import RECIPES
        from tiny_models.writing import ensure as write

        return write(RECIPES[name], folder).path

    return ensure
