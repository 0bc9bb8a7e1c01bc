"""
Our sampler and schedule names as diffusers schedulers, built for each request from the model's own settings.

What a class cannot do is refused with both names, because ignoring it would give another picture than asked for.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import diffusers

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Sampler:
    scheduler: str
    fixed: Mapping[str, object] = field(default_factory=dict)
    flow_matching: bool = False


# `final_sigmas_type`: any other value leaves noise in the picture.
_CLEAN = {"final_sigmas_type": "zero"}

SAMPLERS: Mapping[str, Sampler] = {
    "dpmpp_2m": Sampler("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2, **_CLEAN}),
    "dpmpp_2m_sde": Sampler(
        "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, **_CLEAN}
    ),
    "dpmpp_sde": Sampler("DPMSolverSDEScheduler"),
    "euler": Sampler("EulerDiscreteScheduler", _CLEAN),
    "euler_a": Sampler("EulerAncestralDiscreteScheduler"),
    "heun": Sampler("HeunDiscreteScheduler"),
    "unipc": Sampler("UniPCMultistepScheduler", _CLEAN),
    # Clipping is for models that work on pixels; latents are larger than 1.
    "ddim": Sampler("DDIMScheduler", {"clip_sample": False}),
    "lcm": Sampler("LCMScheduler"),
    "pndm": Sampler("PNDMScheduler", {"skip_prk_steps": True}),
    # Its noise would not come from the request's seed.
    "flow_match_euler": Sampler("FlowMatchEulerDiscreteScheduler", {"stochastic_sampling": False}, flow_matching=True),
}

# The model's own among these would contradict the schedule that is asked for, `normal` included.
_SPACINGS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas")
_SCHEDULES: Mapping[str, Mapping[str, object]] = {
    "normal": {},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
    "sgm_uniform": {"timestep_spacing": "trailing"},
}
# LCM takes the setting and then spaces its steps as it was distilled.
_IGNORED = {("lcm", "timestep_spacing")}


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a request asks of the scheduler."""

    scheduler: str
    schedule: str
    steps: int


def build_scheduler(
    sampling: Sampling, own: Mapping[str, object], flow_matching: bool, seeds: Sequence[int]
) -> Pipeline:
    """A fresh scheduler, because schedulers keep state between steps. Raises BadRequest."""
    sampler = SAMPLERS.get(sampling.scheduler)
    if sampler is None:
        raise BadRequest(f"the scheduler {sampling.scheduler} is not one of {', '.join(SAMPLERS)}")
    if sampler.flow_matching != flow_matching:
        kind = "a flow-matching model, which needs flow_match_euler" if flow_matching else "not a flow-matching model"
        raise BadRequest(f"the scheduler {sampling.scheduler} cannot be used: this is {kind}")
    factory = getattr(diffusers, sampler.scheduler)
    settings = {**sampler.fixed, **_spacing(sampling, factory)}
    if flow_matching and "shift" not in own and "flow_shift" in own:
        settings["shift"] = own["flow_shift"]  # the name that other classes have for it; ignored, it would be 1
    if sampler.scheduler == "DPMSolverSDEScheduler":
        # It ignores generators; with one seed a row its noise is the same alone and in a batch.
        settings["noise_sampler_seed"] = list(seeds)
    scheduler = factory.from_config(own, **settings)
    if not flow_matching:
        _try_steps(scheduler, sampling)
    return scheduler


def _spacing(sampling: Sampling, factory: Pipeline) -> dict[str, object]:
    wanted = _SCHEDULES.get(sampling.schedule)
    if wanted is None:
        raise BadRequest(f"the schedule {sampling.schedule} is not one of {', '.join(_SCHEDULES)}")
    known = inspect.signature(factory.__init__).parameters
    for name in wanted:
        if name not in known or (sampling.scheduler, name) in _IGNORED:
            raise BadRequest(f"the scheduler {sampling.scheduler} has no schedule {sampling.schedule}; use normal")
    return {**{name: False for name in _SPACINGS if name in known}, **wanted}


def _try_steps(scheduler: Pipeline, sampling: Sampling) -> None:
    """Some combinations exist but not with this number of steps; the pipeline would say so in mid-batch."""
    try:
        scheduler.set_timesteps(sampling.steps)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise BadRequest(
            f"the scheduler {sampling.scheduler} with the schedule {sampling.schedule} cannot do "
            f"{sampling.steps} steps: {error}"
        ) from error
