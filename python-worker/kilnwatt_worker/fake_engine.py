"""
An engine without a model, for tests of whoever supervises this process. Users cannot choose it by accident.

It draws gradients keyed by the seed (flat pictures count as failures) and misbehaves as its script says.
The script is a JSON object in the environment variable `KW_FAKE`; see `Script`.
"""

import ctypes
import dataclasses
import hashlib
import importlib
import os
import signal
import time
from pathlib import Path
from typing import NoReturn

from PIL import Image

from kilnwatt_worker import pictures, resident
from kilnwatt_worker.channel import PROTOCOL_FD
from kilnwatt_worker.engine import EngineFacts, LogTo, Report, Usage
from kilnwatt_worker.errors import BadRequest, DeviceLost, OutOfMemory, Stopped, WorkerError
from kilnwatt_worker.messages import Generate, Load
from kilnwatt_worker.parts import Item, Memory, Preset, StepSeconds, Work
from kilnwatt_worker.rapl import counters_of, packages_in, powercap
from kilnwatt_worker.strict import build, read_json

GARBAGE_TIMES = 1024
"""More than a pipe holds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Script:
    """Texts are looked for in prompts; an empty one never matches."""

    load_seconds: float = 0.0
    load_failure: str = ""
    """Code that every load fails with."""
    load_signal: str = ""
    """Ends the process while it loads, as SIGKILL does where the host's memory runs out."""
    step_seconds: float = 0.0
    """Of one denoise step of a batch, whatever its size."""
    fail_on: str = ""
    """Fails the item with this prompt, code `black_image`."""
    black_on: str = ""
    """The picture of this prompt is black unless the VAE is loaded in float32."""
    black_always_on: str = ""
    """The picture of this prompt is black whatever is loaded."""
    crash_on: str = ""
    """Dies of SIGSEGV at the first denoise step."""
    exit_on: str = ""
    """Ends with code 70 at the first denoise step."""
    hang_on: str = ""
    """Stops making progress; the heartbeat goes on."""
    freeze_on: str = ""
    """Holds the interpreter, so that the heartbeat stops too."""
    lose_on: str = ""
    """Loses its device at the first denoise step."""
    memory_batch: int = 0
    """Batches larger than this run out of memory; 0 means none does."""
    memory_pixels: dict[str, int] = dataclasses.field(default_factory=dict)
    """By the name of a preset: batches with more pixels than this in all run out of memory. 0 means none does."""
    chatter: bool = False
    """Prints noise to standard output and standard error at every step."""
    garbage_on: str = ""
    """Prints what no log should be able to digest: raw bytes, and more than a pipe holds, without an end."""
    truncate_on: str = ""
    """Writes half a message to the channel, which the next message then joins."""
    slow_disk_seconds: float = 0.0
    """Before each picture is written."""
    card: str = ""
    """UUID of the card whose meters are read around loads and batches; empty: none is."""
    processors: bool = False
    """The meters of processors are read around loads and batches, each of which counts up a joule in `KW_POWERCAP`."""
    once_dir: str = ""
    """
    A folder of marks. With it, a prompt meets its misbehaviour the first time only, also when another process makes it
    again; a crash alone happens every time.
    """


def read_script(text: str) -> Script:
    """Raises Refused for a misspelt or mistyped field."""
    raw = read_json(text)
    asked = raw if isinstance(raw, dict) else {"KW_FAKE": raw}
    return build(Script, {**dataclasses.asdict(Script()), **asked}, "KW_FAKE")


class FakeWindow:
    def __init__(self) -> None:
        resident.reset_peak()

    def close(self) -> Usage:
        return Usage(fake_memory(), resident.NO_ENERGY)


def fake_memory() -> Memory:
    return resident.host_memory()


class CardsWindow:
    """With the meters that a real engine reads. They come with torch, so that nobody else waits for it."""

    def __init__(self, uuid: str) -> None:
        self._meter = importlib.import_module("kilnwatt_worker.diffusers_engine.energy").meter_of_card(uuid).open()

    def close(self) -> Usage:
        return Usage(fake_memory(), self._meter.close())


class ProcessorsWindow:
    def __init__(self) -> None:
        name = "kilnwatt_worker.diffusers_engine.package_window"
        self._packages = packages_in(powercap())
        self._meter = importlib.import_module(name).PackageWindow(self._packages)

    def close(self) -> Usage:
        for package, before in (counters_of(self._packages) or {}).items():
            package.counter.write_text(str(before + 1_000_000))
        return Usage(fake_memory(), self._meter.close())


class FakeEngine:
    kind = "fake"

    def __init__(self, script: Script) -> None:
        self._script = script
        self._preset: Preset | None = None

    def window(self, device: str) -> FakeWindow | CardsWindow | ProcessorsWindow:
        if self._script.processors:
            return ProcessorsWindow()
        return CardsWindow(self._script.card) if self._script.card else FakeWindow()

    def load(self, load: Load, log: LogTo) -> EngineFacts:
        if self._script.load_failure:
            code = self._script.load_failure
            raise WorkerError(code, f"the fake engine was told to fail the load with {code}")
        time.sleep(self._script.load_seconds)
        if self._script.load_signal:
            die(signal.Signals[self._script.load_signal])
        log("info", f"the fake engine stands in for {load.model.path}")
        self._preset = load.preset
        settings = {"device": load.device, "dtype": "none", "attention": "none", "scheduler": "none"}
        return EngineFacts({**settings, "vae_dtype": load.preset.vae_dtype, "offload": "none"}, {"fake": "1"})

    def unload(self) -> None:
        self._preset = None

    def generate(self, generate: Generate, report: Report) -> None:
        report.phase("encode")
        if generate.params.scheduler == "unknown":
            raise BadRequest("the fake engine does not know the scheduler unknown")
        report.phase("denoise")
        self._denoise(generate, report)
        for item in generate.items:
            if item.job in report.wanted():
                self._finish(item, generate, report)

    def _denoise(self, generate: Generate, report: Report) -> None:
        self._need_memory(generate)
        for step in range(generate.params.steps):
            if not report.wanted():
                raise Stopped
            for item in generate.items:
                self._misbehave(item.prompt)
            if self._script.chatter:
                self._chatter(step)
            time.sleep(self._script.step_seconds)
            report.progress(step + 1, generate.params.steps)
        each = self._script.step_seconds
        work = Work(teraflops=None, calls=generate.params.steps, mfu=None, graphs=0, cached_prompts=0)
        report.denoised(StepSeconds(generate.params.steps, each, each, each), work)

    def _need_memory(self, generate: Generate) -> None:
        count = len(generate.items)
        pixels = count * generate.params.width * generate.params.height
        most = self._script.memory_pixels.get(self._preset.name, 0) if self._preset is not None else 0
        if 0 < self._script.memory_batch < count or 0 < most < pixels:
            raise OutOfMemory(f"the fake device, with {count} items,")

    def _misbehave(self, prompt: str) -> None:
        script = self._script
        if script.crash_on and script.crash_on in prompt:
            die(signal.SIGSEGV)
        if self._meets(script.garbage_on, prompt):
            os.write(1, bytes(range(256)) * GARBAGE_TIMES)
        if self._meets(script.truncate_on, prompt):
            os.write(PROTOCOL_FD, b'{"v":1,"type":"image","laun')
        if self._meets(script.exit_on, prompt):
            os._exit(70)
        if self._meets(script.lose_on, prompt):
            raise DeviceLost("denoising", "the fake engine was told to lose it")
        if self._meets(script.freeze_on, prompt):
            os.write(2, b"frozen\n")
            ctypes.PyDLL(None).pause()  # PyDLL keeps the interpreter's lock during the call
        if self._meets(script.hang_on, prompt):
            os.write(2, b"hung\n")
            while True:
                time.sleep(60)

    def _meets(self, text: str, prompt: str) -> bool:
        if not text or text not in prompt:
            return False
        return not self._script.once_dir or is_first(Path(self._script.once_dir), f"{text}: {prompt}")

    def _chatter(self, step: int) -> None:
        print(f'{{"v":1,"type":"done"}} step {step}\rnoise', flush=True)
        os.write(1, b"raw bytes \xff without an end")
        os.system("echo a grandchild prints too")

    def _finish(self, item: Item, generate: Generate, report: Report) -> None:
        if self._meets(self._script.fail_on, item.prompt):
            report.failure(item, WorkerError("black_image", "the fake engine was told to fail this picture"))
            return
        if self._is_black(item.prompt):
            report.failure(item, WorkerError("black_image", "the fake engine was told to make this picture black"))
            return
        report.phase("decode")
        picture = gradient(item.seed, generate.params.width, generate.params.height)
        report.phase("save")
        time.sleep(self._script.slow_disk_seconds)
        try:
            pictures.save(picture, item.out, generate.params.format)
        except WorkerError as error:
            report.failure(item, error)
        else:
            report.image(item, picture.width, picture.height)

    def _is_black(self, prompt: str) -> bool:
        script = self._script
        safe = self._preset is not None and self._preset.vae_dtype == "float32"
        texts = [script.black_always_on, *([] if safe else [script.black_on])]
        return any(text and text in prompt for text in texts)


def is_first(folder: Path, what: str) -> bool:
    """Leaves a mark, which outlives this process, before it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / hashlib.sha256(what.encode()).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def gradient(seed: int, width: int, height: int) -> Image.Image:
    """Never flat, the same for the same seed, different for another one."""
    ramp = Image.linear_gradient("L").resize((width, height))
    bands = [
        ramp.point([(level * factor + seed // 251**place) % 256 for level in range(256)])
        for place, factor in enumerate((1, 2, 3))
    ]
    return Image.merge("RGB", bands)


def die(how: signal.Signals) -> NoReturn:
    if how != signal.SIGKILL:
        signal.signal(how, signal.SIG_DFL)
    os.kill(os.getpid(), how)
    raise SystemExit(f"{how.name} did not end the process")
