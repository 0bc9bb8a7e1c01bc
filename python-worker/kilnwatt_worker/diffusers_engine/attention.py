"""
Which code computes the denoiser's attention. SDPA is what models come with; the others are verified by what they leave
behind.

Only the denoiser's: its text encoders have masks and its VAE has one wide head, which most kernels refuse, and both
are a small part of the work. Two kinds of denoisers have to be told apart. Newer transformers hand their attention to
diffusers' dispatcher, and each of their processors says which backend it wants. The processors of UNets call SDPA
themselves; what the dispatcher is told does nothing to them, and changes a default of the whole process.
"""

import importlib

from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry

from kilnwatt_worker.diffusers_engine import fused_qkv
from kilnwatt_worker.diffusers_engine.attention_kernels import BACKENDS, KERNELS, name_kernel, named_kernel, refusal
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.extras import require
from kilnwatt_worker.parts import Settings
from kilnwatt_worker.sentences import first_line

_PACKAGES = {"xformers": ("xformers", "xformers"), "flash": ("flash", "flash_attn"), "sage": ("sage", "sageattention")}
"""The extra of our set-up, and the module."""
_CLASSES = {"SlicedAttnProcessor": "sliced", "XFormersAttnProcessor": "xformers"}
_BY_BACKEND = {backend: name for name, backend in BACKENDS.items()}


def apply(target: Target) -> None:
    _AttentionBackendRegistry.set_active_backend(AttentionBackendName.NATIVE)
    asked = target.preset.attention
    fused_qkv.apply(target)
    if asked == "sliced":
        _slice(target)
    elif asked == "xformers":
        _use_xformers(target)
    elif asked in KERNELS:
        _name_kernel(target)
    elif asked != "sdpa":
        _use_package(target)


def in_effect(pipe: Pipeline) -> Settings:
    processors = _processors(denoiser_of(pipe))
    found = sorted({_class_of(one) for one in processors}) or ["unknown"]
    kinds = sorted({_kind_of(one) for one in processors}) or ["sdpa"]
    return {
        "attention": "+".join(kinds),
        "attention_processors": "+".join(found),
        **fused_qkv.in_effect(pipe),
    }


def _slice(target: Target) -> None:
    target.pipe.enable_attention_slicing()
    _verify(target, "the denoiser has no such processor")


def _use_xformers(target: Target) -> None:
    if target.device.type != "cuda":
        target.downgrade("attention", "sdpa", "xformers computes attention on a graphics card only")
        return
    _require(target)
    reason = _lacks_attention()
    if reason is None and _dispatched(denoiser_of(target.pipe)):
        reason = _dispatch(target)
    elif reason is None:
        try:
            target.pipe.unet.enable_xformers_memory_efficient_attention()
        except (AttributeError, ImportError, ValueError, NotImplementedError, RuntimeError) as error:
            reason = first_line(error)
    _verify(target, reason or "the denoiser has no such processor")


def _name_kernel(target: Target) -> None:
    denoiser, asked = denoiser_of(target.pipe), target.preset.attention
    if _dispatched(denoiser):
        reason = _dispatch(target)
    else:
        reason = refusal(asked, denoiser, target.device)
        if reason is None and not name_kernel(denoiser, KERNELS[asked]):
            found = "+".join(sorted({_class_of(one) for one in _processors(denoiser)})) or "an unknown class"
            target.downgrade("attention", "sdpa", f"its attention is computed by {found}, which takes no named kernel")
            return
    if reason is not None:
        raise _impossible(target, reason)


def _use_package(target: Target) -> None:
    denoiser = denoiser_of(target.pipe)
    if not _dispatched(denoiser):
        raise _impossible(target, f"a {type(denoiser).__name__} does not ask diffusers' dispatcher")
    if target.device.type != "cuda":
        raise _impossible(target, "its kernels run on a graphics card only")
    _require(target)
    reason = _dispatch(target)
    if reason is not None:
        raise _impossible(target, reason)


def _dispatch(target: Target) -> str | None:
    """Why it cannot be. The call also changes the default of the process, which is put back."""
    denoiser, asked = denoiser_of(target.pipe), target.preset.attention
    reason = refusal(asked, denoiser, target.device)
    if reason is not None:
        return reason
    try:
        denoiser.set_attention_backend(BACKENDS[asked].value)
    except (RuntimeError, ValueError, ImportError) as error:
        return first_line(error)
    finally:
        _AttentionBackendRegistry.set_active_backend(AttentionBackendName.NATIVE)
    return None


def _require(target: Target) -> None:
    extra, module = _PACKAGES[target.preset.attention]
    require("attention", target.preset.attention, extra, module)


def _lacks_attention() -> str | None:
    """Newer ones hide that the module with the kernels is missing."""
    try:
        kernels = importlib.import_module("xformers.ops")
    except (ImportError, OSError, RuntimeError) as error:
        return f"xformers cannot be imported: {first_line(error)}"
    lacking = not hasattr(kernels, "memory_efficient_attention")
    return "this xformers has no memory_efficient_attention" if lacking else None


def _verify(target: Target, reason: str) -> None:
    found = str(in_effect(target.pipe)["attention"])
    if found != target.preset.attention:
        target.downgrade("attention", found, reason)


def _impossible(target: Target, reason: str) -> WorkerError:
    return WorkerError(
        "preset_impossible",
        f"attention={target.preset.attention} of the preset {target.preset.name} cannot be: {reason}; "
        "use attention=sdpa",
    )


def _processors(denoiser: Pipeline) -> list[Pipeline]:
    """Some denoisers keep theirs where nobody can look."""
    return list((getattr(denoiser, "attn_processors", None) or {}).values())


def _dispatched(denoiser: Pipeline) -> bool:
    processors = _processors(denoiser)
    return processors != [] and all(hasattr(one, "_attention_backend") for one in processors)


def _kind_of(processor: Pipeline) -> str:
    if hasattr(processor, "_attention_backend"):
        backend = processor._attention_backend or _AttentionBackendRegistry.get_active_backend()[0]
        return _BY_BACKEND.get(backend, "sdpa" if backend == AttentionBackendName.NATIVE else str(backend.value))
    kernel = named_kernel(processor)
    if kernel is not None:
        return next(name for name, one in KERNELS.items() if one == kernel)
    return _CLASSES.get(type(processor).__name__, "sdpa")


def _class_of(processor: Pipeline) -> str:
    return type(getattr(processor, "inner", processor)).__name__
