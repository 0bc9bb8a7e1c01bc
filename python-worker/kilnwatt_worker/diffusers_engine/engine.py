"""The real engine: three stages with a seam between them (encode, denoise, decode), and what they took."""

from typing import TypeAlias

import torch
from PIL import Image

from kilnwatt_worker import pictures
from kilnwatt_worker.diffusers_engine import compiled, lora, wsl
from kilnwatt_worker.diffusers_engine.buckets import batch_sizes, padded
from kilnwatt_worker.diffusers_engine.compile_watch import watched
from kilnwatt_worker.diffusers_engine.decode import decode, portions, to_picture
from kilnwatt_worker.diffusers_engine.denoise import check, denoise
from kilnwatt_worker.diffusers_engine.device_errors import device_told
from kilnwatt_worker.diffusers_engine.device_memory import DeviceMemory, Watched, memory_of_device
from kilnwatt_worker.diffusers_engine.encode import encode, remembered, warn_of_idle_negatives, warn_of_long_prompts
from kilnwatt_worker.diffusers_engine.energy import Meter, meter_of
from kilnwatt_worker.diffusers_engine.flops import FlopCounts
from kilnwatt_worker.diffusers_engine.load import Read, device_of, load_pipeline, versions
from kilnwatt_worker.diffusers_engine.memory import free_unused, limited, read_memory, reset_peaks, start_afresh
from kilnwatt_worker.diffusers_engine.meter import DenoiseMeter
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, weights_of
from kilnwatt_worker.engine import EngineFacts, LogTo, Report, Usage
from kilnwatt_worker.errors import DeviceLost, OutOfMemory, Stopped, WorkerError, internal
from kilnwatt_worker.messages import Generate, Load
from kilnwatt_worker.parts import Item, Params

Footprint: TypeAlias = tuple[int, int, int, bool]


class DiffusersWindow:
    """Both ends wait for the device, so that the work inside is all of the work."""

    def __init__(self, device: torch.device, meter: Meter, memory: DeviceMemory) -> None:
        self._device = device
        self._memory = memory
        with device_told("waiting for it"):
            synchronise(device)
            reset_peaks(device, memory)
        self._energy = meter.open()

    def close(self) -> Usage:
        try:
            with device_told("waiting for it"):
                synchronise(self._device)
                energy = self._energy.close()
                return Usage(read_memory(self._device, self._memory), energy)
        finally:
            self._energy.abandon()


class DiffusersEngine:
    kind = "diffusers"

    def __init__(self, read: Read | None = None) -> None:
        self._read = read
        self._loaded: LoadedPipeline | None = None
        self._meters: dict[torch.device, Meter] = {}
        self._memories: dict[torch.device, DeviceMemory] = {}
        self._flops = FlopCounts()
        self._footprint: Footprint | None = None

    def window(self, device: str) -> DiffusersWindow:
        place = device_of(device)
        if place not in self._meters:
            self._meters[place] = meter_of(place)
        return DiffusersWindow(place, self._meters[place], self._memory(place))

    def load(self, load: Load, log: LogTo) -> EngineFacts:
        self.unload()
        with device_told("loading the model"):
            wsl.cap(device_of(load.device), log)
            self._loaded = load_pipeline(load, log, self._read)
        loaded = self._loaded
        return EngineFacts(loaded.settings, versions(), loaded.downgrades, weights_of(loaded.pipe))

    def _memory(self, place: torch.device) -> DeviceMemory:
        if place not in self._memories:
            self._memories[place] = memory_of_device(place)
        return self._memories[place]

    def unload(self) -> None:
        self._loaded = self._footprint = None
        with device_told("freeing the model"):
            compiled.forget()
            free_unused()

    def generate(self, generate: Generate, report: Report) -> None:
        loaded = self._loaded
        if loaded is None:
            raise WorkerError("not_loaded", "no model is loaded", retryable=True)
        wanted = report.wanted()
        items = [item for item in generate.items if item.job in wanted]
        looking = Watched(report, self._memory(loaded.device))
        footprint = footprint_of(generate.params, len(items))
        if footprint != self._footprint:
            with device_told("freeing what the batch before took"):
                start_afresh(loaded.device, self._memory(loaded.device))
            self._footprint = footprint
        try:
            with limited():
                latents = _latents(loaded, generate, items, looking, self._flops)
                for portion in portions(loaded, generate.params, len(items)):
                    _finish(loaded, generate.params, items[portion], latents[portion], looking)
        except OutOfMemory:
            with device_told("giving up LoRAs"):
                lora.drop_idle(loaded)
            raise


def footprint_of(params: Params, rows: int) -> Footprint:
    """What of a batch decides how much memory it takes; guidance doubles the rows."""
    return params.width, params.height, rows, params.guidance > 1


def _latents(
    loaded: LoadedPipeline, generate: Generate, items: list[Item], report: Report, flops: FlopCounts
) -> torch.Tensor:
    def on_step(step: int, steps: int) -> None:
        meter.step()
        report.progress(step, steps)
        if not report.wanted():
            raise Stopped

    if not items:
        raise Stopped
    params = generate.params
    report.phase("encode")
    check(loaded, params)
    warn_of_long_prompts(loaded, items, params, report.log)
    warn_of_idle_negatives(items, params, report.log)
    rows = padded(items, batch_sizes(loaded.pipe))
    with device_told("taking the LoRAs"):
        lora.use(loaded, params.loras, report.log)
    cached = remembered(loaded, items, params)
    with device_told("encoding the prompts"):
        conditioning = encode(loaded, rows, params)
        synchronise(loaded.device)
    # Counting is a preparation for later batches too, as compiling is, and no part of the denoising.
    a_row = flops.of_row(loaded, conditioning, params, lambda: report.phase("compile"))
    report.phase("denoise")
    meter = DenoiseMeter(loaded, params, len(rows), a_row, report.log)
    with device_told(f"denoising a batch of {len(items)}"), meter, watched(loaded, params, report):
        latents = denoise(loaded, conditioning, params, [row.seed for row in rows], on_step)
        synchronise(loaded.device)
    report.denoised(meter.steps(), meter.work(cached))
    return latents[: len(items)]


def _finish(loaded: LoadedPipeline, params: Params, items: list[Item], latents: torch.Tensor, report: Report) -> None:
    """Decodes and saves a few pictures. The failure of one is its own, unless it is one of the device."""
    wanted = [row for row, item in enumerate(items) if item.job in report.wanted()]
    if not wanted:
        return
    report.phase("decode")
    made: list[Image.Image | WorkerError]
    try:
        with device_told("decoding a picture"):
            made = [_picture(floats, params) for floats in decode(loaded, latents[wanted], params)]
    except (OutOfMemory, DeviceLost):
        raise
    except Exception as error:
        made = [internal(error) for _ in wanted]
    for row, picture in zip(wanted, made, strict=True):
        if items[row].job in report.wanted():
            _save(items[row], picture, params, report)


def _picture(floats: torch.Tensor | WorkerError, params: Params) -> Image.Image | WorkerError:
    if isinstance(floats, WorkerError):
        return floats
    try:
        picture = to_picture(floats)
    except WorkerError as black:
        return black
    if picture.size != (params.width, params.height):
        return WorkerError("internal", f"the model made {picture.size[0]}x{picture.size[1]} pixels")
    return picture


def _save(item: Item, picture: Image.Image | WorkerError, params: Params, report: Report) -> None:
    if isinstance(picture, WorkerError):
        report.failure(item, picture)
        return
    report.phase("save")
    try:
        pictures.save(picture, item.out, params.format)
    except Exception as error:  # told apart from its neighbours, which go on
        report.failure(item, internal(error))
    else:
        report.image(item, *picture.size)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
