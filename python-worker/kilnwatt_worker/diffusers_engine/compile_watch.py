"""
A compiled denoiser at work: which call compiles, and whether one did that should not.

The call that brings a new shape is the batch's own first step and not one more, so that the picture is the same; until
it is done the phase is `compile`, which takes minutes and has a limit of its own. So it is while torch compiles at
another step, which the first block's cache makes it do.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine.compile_trial import reason_of
from kilnwatt_worker.diffusers_engine.compiled import CUDA_GRAPHS, graphs, in_effect
from kilnwatt_worker.diffusers_engine.device_errors import device_error
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline, denoiser_of
from kilnwatt_worker.engine import Report
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Params

Call: TypeAlias = Callable[..., Pipeline]


@contextmanager
def watched(loaded: LoadedPipeline, params: Params, report: Report) -> Iterator[None]:
    """Inside, the denoiser's calls are watched. Does nothing where it is not compiled."""
    settings = in_effect(loaded.pipe)
    if settings["compile"] == "none":
        yield
        return
    denoiser = denoiser_of(loaded.pipe)
    own = denoiser._compiled_call_impl
    call: Call = own or denoiser._call_impl
    if settings["compile_mode"] in CUDA_GRAPHS:
        call = _kept(call)
    phase = _Phase(report)
    denoiser._compiled_call_impl = _told(call, loaded, params, phase)
    handler = torch._dynamo.callback.callback_handler
    handler.register_start_callback(phase.started)
    handler.register_end_callback(phase.ended)
    try:
        yield
    finally:
        denoiser._compiled_call_impl = own
        handler.remove_start_callback(phase.started)
        handler.remove_end_callback(phase.ended)


class _Phase:
    """`compile` during the first call of a shape, and while torch compiles within another."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._first_call = False

    @contextmanager
    def first_call(self) -> Iterator[None]:
        self.report.phase("compile")
        self._first_call = True
        yield
        self._first_call = False
        self.report.phase("denoise")

    def started(self, _of: object) -> None:
        if not self._first_call:
            self.report.phase("compile")

    def ended(self, _of: object) -> None:
        if not self._first_call:
            self.report.phase("denoise")


def _told(call: Call, loaded: LoadedPipeline, params: Params, phase: _Phase) -> Call:
    known: set[object] = loaded.pipe.compiled_shapes

    def run(*given: object, **named: object) -> Pipeline:
        shape, before = (_shape(given), _shape(named)), graphs()
        if shape not in known:
            with phase.first_call():
                made = _compiling(call, params, given, named)
                if loaded.device.type == "cuda":
                    torch.cuda.synchronize(loaded.device)
            known.add(shape)
            return made
        made = call(*given, **named)
        if graphs() > before:
            phase.report.log("warning", f"the denoiser was compiled anew for a shape that it knew: {_last_reason()}")
        return made

    return run


def _compiling(call: Call, params: Params, given: tuple[object, ...], named: Mapping[str, object]) -> Pipeline:
    try:
        return call(*given, **named)
    except torch._dynamo.exc.TorchDynamoException as error:
        if device_error(error, "compiling") is not None:
            raise
        raise WorkerError(
            "preset_not_in_effect",
            f"compiling the denoiser for {params.width}x{params.height} failed ({reason_of(error)}); "
            "use a preset without compile",
        ) from error


def _kept(call: Call) -> Call:
    """The next replay of a CUDA graph overwrites what the last one gave, which schedulers and guidance still need."""

    def run(*given: object, **named: object) -> Pipeline:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        made = call(*given, **named)
        return tuple(one.clone() for one in made) if isinstance(made, tuple) else made

    return run


def _shape(value: object) -> object:
    """What decides which graph a call takes, as far as its inputs do."""
    if isinstance(value, torch.Tensor):
        return (tuple(value.shape), value.dtype)
    if isinstance(value, Mapping):
        return tuple((name, _shape(value[name])) for name in sorted(value))
    if isinstance(value, list | tuple):
        return tuple(_shape(one) for one in value)
    return value is None


def _last_reason() -> str:
    """Dynamo's own, in one line."""
    found = torch._dynamo.utils.get_compilation_metrics()
    reason = next((one.recompile_reason for one in reversed(found) if one.recompile_reason), "dynamo gives no reason")
    return " ".join(reason.split())
