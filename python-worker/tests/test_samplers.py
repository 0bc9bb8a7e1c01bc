"""Which sampler and which schedule a name really means: whole runs, beside diffusers' own classes built by hand."""

import inspect
from collections.abc import Callable, Mapping

import diffusers
import pytest
import torch

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.diffusers_engine.schedulers import SAMPLERS, Sampling, build_scheduler

SEEDS = [1, 2]
STEPS = 6
# As the configs of Stable Diffusion 1.5 have it.
TRAINED: Mapping[str, object] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
STABLE = diffusers.PNDMScheduler(**TRAINED, prediction_type="epsilon", steps_offset=1, skip_prk_steps=True).config
FLOW = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0).config

BY_HAND: Mapping[str, Callable[[], Pipeline]] = {
    "dpmpp_2m": lambda: diffusers.DPMSolverMultistepScheduler(**TRAINED, steps_offset=1),
    "dpmpp_2m_sde": lambda: diffusers.DPMSolverMultistepScheduler(
        **TRAINED, steps_offset=1, algorithm_type="sde-dpmsolver++"
    ),
    "dpmpp_sde": lambda: diffusers.DPMSolverSDEScheduler(**TRAINED, steps_offset=1, noise_sampler_seed=SEEDS),
    "euler": lambda: diffusers.EulerDiscreteScheduler(**TRAINED, steps_offset=1),
    "euler_a": lambda: diffusers.EulerAncestralDiscreteScheduler(**TRAINED, steps_offset=1),
    "heun": lambda: diffusers.HeunDiscreteScheduler(**TRAINED, steps_offset=1),
    "unipc": lambda: diffusers.UniPCMultistepScheduler(**TRAINED, steps_offset=1),
    "ddim": lambda: diffusers.DDIMScheduler(**TRAINED, steps_offset=1, clip_sample=False),
    "lcm": lambda: diffusers.LCMScheduler(**TRAINED, steps_offset=1),
    "pndm": lambda: diffusers.PNDMScheduler(**TRAINED, steps_offset=1, skip_prk_steps=True),
    "flow_match_euler": lambda: diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
}


def built(name: str, schedule: str = "normal") -> Pipeline:
    flows = name == "flow_match_euler"
    return build_scheduler(Sampling(name, schedule, STEPS), FLOW if flows else STABLE, flows, SEEDS)


def sampled(scheduler: Pipeline) -> torch.Tensor:
    """Two rows from noise to the end, by what stands in for a denoiser, as pipelines call a scheduler."""
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    scheduler.set_timesteps(STEPS)
    latents = torch.cat([torch.randn(1, 4, 4, 4, generator=one) for one in generators])
    latents = latents * getattr(scheduler, "init_noise_sigma", 1.0)
    takes = "generator" in inspect.signature(scheduler.step).parameters
    for time in scheduler.timesteps:
        given = scheduler.scale_model_input(latents, time) if hasattr(scheduler, "scale_model_input") else latents
        told = torch.sin(3 * given) + given * float(time) / 1000
        latents = scheduler.step(told, time, latents, **({"generator": generators} if takes else {})).prev_sample
    return latents


@pytest.mark.parametrize("name", BY_HAND)
def test_a_sampler_is_the_one_of_its_name_from_noise_to_picture(name: str) -> None:
    by_hand = BY_HAND[name]()
    ours = built(name)
    assert type(ours) is type(by_hand)
    made = sampled(ours)
    assert torch.equal(made, sampled(by_hand))
    assert made.isfinite().all()


def test_no_two_names_sample_alike() -> None:
    """Else one of them could stand for the other in the test above."""
    assert set(BY_HAND) == set(SAMPLERS)
    made = [sampled(built(name)) for name in BY_HAND]
    alike = [
        (one, other)
        for one in range(len(made))
        for other in range(one)
        if torch.allclose(made[one], made[other], rtol=1e-3, atol=1e-3)
    ]
    assert alike == []


def test_each_schedule_spaces_the_noise_by_its_own_rule() -> None:
    """Karras evenly in the seventh root, exponential evenly in the logarithm, beta closest at both of its ends."""

    def spread(values: torch.Tensor) -> float:
        gaps = values.diff().abs()
        return float(gaps.max() / gaps.min())

    def noise(schedule: str) -> torch.Tensor:
        sigmas: torch.Tensor = built("euler", schedule).sigmas[:-1]
        return sigmas.double()

    seventh = {name: spread(noise(name) ** (1 / 7)) for name in ("normal", "karras", "exponential")}
    assert seventh["karras"] < 1.001 < min(seventh["normal"], seventh["exponential"])
    logarithm = {name: spread(noise(name).log()) for name in ("normal", "karras", "exponential")}
    assert logarithm["exponential"] < 1.001 < min(logarithm["normal"], logarithm["karras"])
    gaps = noise("beta").diff().abs()
    assert max(gaps[0], gaps[-1]) < gaps[1:-1].min()
    assert noise("normal").diff().abs().argmin() == len(gaps) - 1
