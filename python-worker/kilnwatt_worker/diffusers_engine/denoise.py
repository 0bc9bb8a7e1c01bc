"""
Second stage: noise to latents, for a whole batch, by the pipeline's own call.

The initial noise of each picture comes from a CPU generator of its own on every device, and so does the noise that
`euler_a`, `lcm` and `dpmpp_2m_sde` add. Only `dpmpp_sde` draws its added noise on the device itself, by torchsde, from
the picture's seed: there a batch still equals its single runs, but a card and a CPU make different pictures.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine import step_cache
from kilnwatt_worker.diffusers_engine.cpu import lean
from kilnwatt_worker.diffusers_engine.encode import Conditioning
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline
from kilnwatt_worker.diffusers_engine.schedulers import Sampling, build_scheduler
from kilnwatt_worker.errors import BadRequest
from kilnwatt_worker.parts import Params

OnStep: TypeAlias = Callable[[int, int], None]
"""Steps done and steps in all. What it raises ends the call between two steps."""

_GIVEN = (
    "prompt",
    "height",
    "width",
    "num_inference_steps",
    "guidance_scale",
    "generator",
    "output_type",
    "callback_on_step_end",
)
# Without them some pipelines fail in mid-batch although their signature has a default.
_PICTURES = ("image", "mask_image", "control_image")


def denoise(
    loaded: LoadedPipeline, conditioning: Conditioning, params: Params, seeds: Sequence[int], on_step: OnStep
) -> torch.Tensor:
    """Latents as the pipeline gives them with `output_type="latent"`, one row a seed."""
    pipe = loaded.pipe
    pipe.scheduler = scheduler_for(loaded, params, seeds)

    def after_step(_pipe: Pipeline, index: int, _time: object, tensors: dict[str, object]) -> dict[str, object]:
        on_step(min(params.steps, (index + 1) * params.steps // int(pipe.num_timesteps)), params.steps)
        return tensors

    area = params.height * params.width // int(pipe.vae_scale_factor) ** 2
    try:
        with lean(loaded.device, area * len(seeds)):
            latents: torch.Tensor = pipe(
                **conditioning,
                **_guidance(loaded, params),
                height=params.height,
                width=params.width,
                num_inference_steps=params.steps,
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                output_type="latent",
                callback_on_step_end=after_step,
                return_dict=False,
            )[0]
    finally:
        pipe.maybe_free_model_hooks()  # not reached within the call when a step raises
        step_cache.forget(pipe)
    return latents


def check(loaded: LoadedPipeline, params: Params) -> None:
    """Raises BadRequest for what would otherwise be ignored or fail half-way."""
    multiple = loaded.size_multiple
    if params.width % multiple or params.height % multiple:
        raise BadRequest(f"{params.width}x{params.height} is not divisible by {multiple}, which this model needs")
    if loaded.takes_distilled_guidance and params.distilled_guidance is None:
        raise BadRequest("this model takes a distilled guidance and the request has none")
    if not loaded.takes_distilled_guidance and params.distilled_guidance is not None:
        raise BadRequest("this model takes no distilled guidance; leave it out")
    if params.clip_skip and loaded.family not in ("sd", "sdxl"):
        raise BadRequest(f"clip skip means nothing to a model of the family {loaded.family}; set it to 0")
    if loaded.family in ("sd", "sdxl"):
        _check_clip_skip(loaded.pipe, params.clip_skip)
    scheduler_for(loaded, params, [0])


def scheduler_for(loaded: LoadedPipeline, params: Params, seeds: Sequence[int]) -> Pipeline:
    sampling = Sampling(params.scheduler, params.schedule, params.steps)
    return build_scheduler(sampling, loaded.scheduler_config, loaded.flow_matching, seeds)


def unsupported_call(pipeline_class: Pipeline) -> str | None:
    """Why this stage cannot call such a pipeline: what it would have to give, or what it gives is unknown."""
    known = inspect.signature(pipeline_class.__call__).parameters
    foreign = next((name for name, value in known.items() if name not in _GIVEN and _is_wanted(name, value)), None)
    if foreign is not None:
        return f"its call wants {foreign}, and here a picture is made of a prompt alone"
    lacking = next((name for name in _GIVEN if name not in known), None)
    return None if lacking is None else f"its call has no {lacking}"


def _guidance(loaded: LoadedPipeline, params: Params) -> dict[str, object]:
    """Guidance up to 1 means none. Flux has two: a true one, which costs a second pass, and a distilled input."""
    if loaded.family != "flux":
        return {"guidance_scale": max(params.guidance, 1.0)}
    true = {"true_cfg_scale": params.guidance} if params.guidance > 1 else {}
    distilled = {} if params.distilled_guidance is None else {"guidance_scale": params.distilled_guidance}
    return {**true, **distilled}


def _is_wanted(name: str, parameter: inspect.Parameter) -> bool:
    if name == "self" or parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        return False
    return name in _PICTURES or parameter.default is inspect.Parameter.empty


def _check_clip_skip(pipe: Pipeline, skip: int) -> None:
    encoder = pipe.text_encoder if pipe.text_encoder is not None else pipe.text_encoder_2
    layers = int(encoder.config.num_hidden_layers)
    if skip >= layers:
        raise BadRequest(f"clip skip {skip} leaves nothing of a text encoder with {layers} layers")
