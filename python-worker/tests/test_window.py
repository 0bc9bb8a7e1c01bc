"""The engine's window around a load and a batch: when it is opened and closed, and what it does when all fails."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.card import card_of
from kilnwatt_worker.channel import Channel
from kilnwatt_worker.diffusers_engine.device_memory import DeviceMemory
from kilnwatt_worker.diffusers_engine.energy import CardWindow, Meter
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine, DiffusersWindow
from kilnwatt_worker.diffusers_engine.pulse import Stop
from kilnwatt_worker.errors import DeviceLost
from kilnwatt_worker.loop import Loop
from tests.samples import Recorder, generate_of, item, load_of
from tests.scripted_nvml import UUID, ScriptedNvml, counting
from tests.test_rapl import zone

CPU = torch.device("cpu")


class Bench:
    """A window of the processor, with a card on paper as its meter; nothing looks into it but its two ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, nvml: ScriptedNvml) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        found = card_of(UUID)
        assert found is not None
        self.card = found
        self.stopped = 0
        self.meter = Meter(lambda: CardWindow(self.card, self.by_hand, clock=lambda: nvml.now))

    def by_hand(self, _look: Callable[[], None]) -> Stop:
        def stop() -> None:
            self.stopped += 1

        return stop

    def window(self) -> DiffusersWindow:
        return DiffusersWindow(CPU, self.meter, DeviceMemory(lambda: None))


def test_both_ends_are_read_after_the_device_has_nothing_left_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = ScriptedNvml(counter=counting(100))

    def synchronise(_device: torch.device) -> None:
        """The card works for a second more before it is done."""
        nvml.now += 1

    monkeypatch.setattr("kilnwatt_worker.diffusers_engine.engine.synchronise", synchronise)
    window = Bench(monkeypatch, nvml).window()
    nvml.now += 4
    assert window.close().energy.millijoules == 500_000


def test_a_device_that_is_lost_is_not_asked_for_its_energy_and_the_sampling_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvml = ScriptedNvml()
    bench = Bench(monkeypatch, nvml)
    window = bench.window()

    def lost(_device: torch.device) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    asked: list[float] = []
    nvml.counter = lambda now: asked.append(now)
    monkeypatch.setattr("kilnwatt_worker.diffusers_engine.engine.synchronise", lost)
    with pytest.raises(DeviceLost):
        window.close()
    assert bench.stopped > 0
    assert asked == []


def test_a_load_that_fails_leaves_no_window_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its thread sampled the card for as long as the worker had nothing else to do."""
    bench = Bench(monkeypatch, ScriptedNvml())
    engine = DiffusersEngine()
    monkeypatch.setattr(engine, "window", lambda _device: bench.window())
    heard = io.BytesIO()
    loop = Loop(Channel(heard, "launch"), io.BytesIO(), "launch", "diffusers", lambda: engine)
    loop._work(load_of(tmp_path / "none"))
    assert [json.loads(line)["type"] for line in heard.getvalue().splitlines()][-1] == "failure"
    assert bench.stopped > 0


def test_a_batch_on_a_processor_that_tells_has_the_energy_of_all_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Callable[[str], Path]
) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 250_000)
    monkeypatch.setenv("KW_POWERCAP", str(tmp_path))
    engine = DiffusersEngine()
    window = engine.window("cpu")
    engine.load(load_of(model("sd")), Recorder(generate_of([item(0)])).log)
    counter.write_text("900000")
    energy = window.close().energy
    assert (energy.millijoules, energy.meter, energy.method) == (650, "rapl", "derived")
    assert engine.window("cpu").close().energy.method == "unknown"
