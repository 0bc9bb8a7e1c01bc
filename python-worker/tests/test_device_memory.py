"""How much of a card is taken, and how much a process may take of it under WSL2."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from kilnwatt_worker.diffusers_engine.device_memory import DeviceMemory, Watched
from kilnwatt_worker.diffusers_engine.wsl import Room, is_wsl2, share, told
from kilnwatt_worker.nvml import memory_of
from kilnwatt_worker.parts import Phase
from tests.samples import Recorder, generate_of, item
from tests.techniques import engine_with, params_of, pictures_of


def test_the_peak_of_a_device_is_the_most_that_was_seen_at_a_change_of_phase(tmp_path: Path) -> None:
    free = iter([900, 300, 700])
    memory = DeviceMemory(lambda: (next(free), 1_000))
    watched = Watched(Recorder(generate_of([item(0, tmp_path / "0.part")])), memory)
    phases: tuple[Phase, ...] = ("encode", "denoise", "decode")
    for phase in phases:
        watched.phase(phase)
    assert memory.peak_bytes == 700
    memory.reset()
    assert memory.peak_bytes is None


def test_a_device_that_cannot_be_looked_at_has_no_peak() -> None:
    memory = DeviceMemory(lambda: None)
    assert memory.look() is None
    assert memory.peak_bytes is None


@pytest.mark.parametrize(
    ("release", "wsl2"),
    [
        ("6.6.87.2-microsoft-standard-WSL2", True),
        ("4.4.0-19041-Microsoft", False),
        ("6.8.0-45-generic", False),
    ],
)
def test_wsl2_is_told_by_its_kernel(release: str, wsl2: bool) -> None:
    assert is_wsl2(release) == wsl2


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        (Room(free=10, total=12, ours=0), 0.75),
        (Room(free=4, total=12, ours=6), 0.75),
        (Room(free=12, total=12, ours=4), 1.0),
        (Room(free=0, total=12, ours=0), 0.0),
    ],
    ids=["what is free less the reserve", "what is held already counts", "never over all", "never under nothing"],
)
def test_under_wsl2_a_process_may_take_what_is_free_and_its_own_less_a_reserve(room: Room, allowed: float) -> None:
    assert share(room, reserve=1) == allowed


def test_the_share_is_told_in_gigabytes() -> None:
    assert "may take 9.0 of the card's 12.0 GB" in told(0.75, 12_000_000_000)


def test_free_memory_under_wsl2_is_what_nvml_says(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failed(Exception):
        pass

    nvml = ModuleType("pynvml")
    answers = [SimpleNamespace(free=5, total=8)]
    vars(nvml).update(
        NVMLError=Failed,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetMemoryInfo=lambda _handle: answers.pop() if answers else _raise(Failed()),
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    read = memory_of("1234")
    assert read() == (5, 8)
    assert read() is None


def _raise(error: Exception) -> None:
    raise error


def test_a_batch_of_another_size_starts_afresh_and_one_alike_keeps_what_is_there(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small picture after a large one was measured, and kept, at the footprint of the large one."""
    begun: list[torch.device] = []
    monkeypatch.setattr(
        "kilnwatt_worker.diffusers_engine.engine.start_afresh", lambda device, _seen: begun.append(device)
    )
    engine, _ = engine_with(model("sd"))
    large, small = (params_of("sd", steps=1, width=size, height=size) for size in (96, 64))
    counts = []
    for params, prompts in [(large, "a"), (large, "b"), (small, "a"), (small, "ab"), (small, "ab")]:
        pictures_of(engine, tmp_path, params, list(prompts))
        counts.append(len(begun))
    assert counts == [1, 1, 2, 3, 3]
