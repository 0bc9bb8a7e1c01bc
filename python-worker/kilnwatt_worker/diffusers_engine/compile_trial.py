"""Whether a denoiser can be compiled here: found out at load, and not in the middle of a batch."""

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch

from kilnwatt_worker.diffusers_engine import step_cache
from kilnwatt_worker.diffusers_engine.device_errors import trial_error
from kilnwatt_worker.diffusers_engine.pipeline import Family, Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Preset

_NO_COMPILER = re.compile(r"no working c\+\+ compiler|failed to find c compiler|invalidcxxcompiler", re.IGNORECASE)
TOKENS = 8


def refusal(target: Target) -> str | None:
    """Why not; None where it can be."""
    example = _EXAMPLES.get(target.family)
    if example is None:
        return "a pipeline that is not known here cannot be tried before its first batch"
    return _failure(lambda: _try_toolchain(target.device)) or _failure(lambda: _try_graph(target, example))


def compile_as(how: str, denoiser: Pipeline, options: Mapping[str, object]) -> None:
    """`full` or `regional`; nothing is compiled before the first call."""
    if how == "full":
        denoiser.compile(**options)
    else:
        denoiser.compile_repeated_blocks(**options)


def repeated_blocks(denoiser: Pipeline) -> list[Pipeline]:
    names = getattr(denoiser, "_repeated_blocks", None) or ()
    return [module for module in denoiser.modules() if type(module).__name__ in names]


def one_graph(preset: Preset) -> bool:
    """Whether a break is a fault: the first block's cache decides between two blocks, in code that is not compiled."""
    return preset.step_cache != "first_block"


def reason_of(error: Exception) -> str:
    """Torch's own, which is many lines, in one."""
    if _NO_COMPILER.search(f"{type(error).__name__}: {error}"):
        return "needs a C compiler (gcc and g++)"
    lines = [line for line in str(error).splitlines() if line.strip() and not line.endswith("raised:")]
    return lines[0].strip() if lines else type(error).__name__


def _try_toolchain(device: torch.device) -> None:
    """A compiler writes kernels, or the code that starts them, on every device."""
    with torch.no_grad():
        torch.compile(_small, fullgraph=True)(torch.zeros(8, device=device))


def _small(values: torch.Tensor) -> torch.Tensor:
    return values.sin() + 1


def _try_graph(target: Target, example: Callable[[Pipeline], dict[str, object]]) -> None:
    """Traced as it will be, but run as it is written, which takes seconds where compiling takes minutes."""
    denoiser = denoiser_of(target.pipe)
    try:
        whole = one_graph(target.preset)
        compile_as(target.preset.compile, denoiser, {"fullgraph": whole, "backend": "eager"})
        with torch.no_grad(), nullcontext() if whole else denoiser.cache_context("trial"):
            denoiser(**_on(target.device, denoiser.dtype, example(denoiser)), return_dict=False)
    finally:
        for module in (denoiser, *repeated_blocks(denoiser)):
            module._compiled_call_impl = None
        target.pipe.maybe_free_model_hooks()
        step_cache.forget(target.pipe)


def _failure(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except Exception as error:  # whatever is wrong with torch's many parts, plain code still makes pictures
        if trial_error(error, "trying to compile") is not None:
            raise
        return reason_of(error)
    return None


def _on(device: torch.device, dtype: torch.dtype, inputs: Mapping[str, object]) -> dict[str, object]:
    moved: dict[str, object] = {}
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor):
            moved[name] = value.to(device, dtype if value.dtype == torch.float32 else None)
        else:
            moved[name] = _on(device, dtype, value) if isinstance(value, Mapping) else value
    return moved


def _unet_inputs(unet: Pipeline) -> dict[str, object]:
    """The fewest latents that its levels can halve."""
    config = unet.config
    side = 2 ** len(config.block_out_channels)
    width = config.cross_attention_dim
    width = width if isinstance(width, int) else width[0]
    return {
        "sample": torch.zeros(2, config.in_channels, side, side),
        "timestep": torch.tensor(1),
        "encoder_hidden_states": torch.zeros(2, TOKENS, width),
    }


def _xl_inputs(unet: Pipeline) -> dict[str, object]:
    config = unet.config
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    added = {"text_embeds": torch.zeros(2, pooled), "time_ids": torch.zeros(2, 6)}
    return {**_unet_inputs(unet), "added_cond_kwargs": added}


def _flux_inputs(transformer: Pipeline) -> dict[str, object]:
    config = transformer.config
    return {
        "hidden_states": torch.zeros(1, 16, config.in_channels),
        "encoder_hidden_states": torch.zeros(1, TOKENS, config.joint_attention_dim),
        "pooled_projections": torch.zeros(1, config.pooled_projection_dim),
        "timestep": torch.ones(1),
        "guidance": torch.ones(1) if config.guidance_embeds else None,
        "img_ids": torch.zeros(16, 3),
        "txt_ids": torch.zeros(TOKENS, 3),
    }


_EXAMPLES: Mapping[Family, Callable[[Pipeline], dict[str, object]]] = {
    "sd": _unet_inputs,
    "sdxl": _xl_inputs,
    "flux": _flux_inputs,
}
