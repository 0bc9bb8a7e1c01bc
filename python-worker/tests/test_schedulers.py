from collections.abc import Mapping

import pytest
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, PNDMScheduler

from kilnwatt_worker.diffusers_engine.schedulers import SAMPLERS, Sampling, build_scheduler
from kilnwatt_worker.errors import BadRequest

OWN = PNDMScheduler(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    prediction_type="v_prediction",
    steps_offset=1,
).config
FLOW = FlowMatchEulerDiscreteScheduler(shift=3.0).config

KARRAS_LIKE = ("karras", "exponential", "beta")
SIGMA_SAMPLERS = ("dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde", "euler", "heun", "unipc")
PLAIN_SAMPLERS = ("euler_a", "ddim", "lcm", "pndm")


def scheduler(name: str, schedule: str = "normal", steps: int = 12):  # type: ignore[no-untyped-def] # noqa: ANN201
    return build_scheduler(Sampling(name, schedule, steps), OWN, flow_matching=False, seeds=[1, 2])


def test_every_sampler_is_either_of_the_one_kind_or_of_the_other() -> None:
    assert {*SIGMA_SAMPLERS, *PLAIN_SAMPLERS, "flow_match_euler"} == set(SAMPLERS)


@pytest.mark.parametrize("name", [*SIGMA_SAMPLERS, *PLAIN_SAMPLERS])
def test_a_sampler_keeps_the_noise_that_the_model_was_trained_with(name: str) -> None:
    built = scheduler(name)
    assert built.alphas_cumprod.tolist() == PNDMScheduler.from_config(OWN).alphas_cumprod.tolist()
    assert built.config["prediction_type"] == "v_prediction"


@pytest.mark.parametrize("schedule", KARRAS_LIKE)
@pytest.mark.parametrize("name", SIGMA_SAMPLERS)
def test_a_schedule_changes_the_spacing(name: str, schedule: str) -> None:
    plain, spaced = scheduler(name), scheduler(name, schedule)
    assert len(plain.sigmas) == len(spaced.sigmas)
    assert not (plain.sigmas == spaced.sigmas).all()


@pytest.mark.parametrize("schedule", KARRAS_LIKE)
@pytest.mark.parametrize("name", PLAIN_SAMPLERS)
def test_a_schedule_that_a_sampler_has_not_is_refused_with_both_names(name: str, schedule: str) -> None:
    with pytest.raises(BadRequest, match=f"{name} has no schedule {schedule}"):
        scheduler(name, schedule)


@pytest.mark.parametrize("name", [*SIGMA_SAMPLERS, "euler_a", "ddim", "pndm"])
def test_sgm_uniform_begins_at_the_noisiest_step_and_ends_a_whole_stride_before_nothing(name: str) -> None:
    times = scheduler(name, "sgm_uniform").timesteps.tolist()
    assert times[0] == 999
    assert times[-1] == pytest.approx(1000 / 12 - 1, abs=1)
    assert times != scheduler(name).timesteps.tolist()


def test_sgm_uniform_is_refused_for_lcm_which_would_ignore_it() -> None:
    with pytest.raises(BadRequest, match="lcm has no schedule sgm_uniform"):
        scheduler("lcm", "sgm_uniform")


@pytest.mark.parametrize("own", ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas"])
@pytest.mark.parametrize("schedule", ["normal", *KARRAS_LIKE])
def test_a_schedule_asked_for_replaces_the_one_that_the_model_came_with(own: str, schedule: str) -> None:
    """Normal did not: a model that came with Karras gave Karras, whatever the receipt said."""
    sampling = Sampling("dpmpp_2m", schedule, 8)
    replaced = build_scheduler(sampling, {**OWN, own: True}, flow_matching=False, seeds=[1])
    plain = build_scheduler(sampling, OWN, flow_matching=False, seeds=[1])
    assert replaced.sigmas.tolist() == plain.sigmas.tolist()
    assert replaced.timesteps.tolist() == plain.timesteps.tolist()


def test_flow_matching_goes_with_its_own_sampler_only() -> None:
    with pytest.raises(BadRequest, match="dpmpp_2m cannot be used: this is a flow-matching model"):
        build_scheduler(Sampling("dpmpp_2m", "normal", 8), FLOW, flow_matching=True, seeds=[1])
    with pytest.raises(BadRequest, match="flow_match_euler cannot be used: this is not a flow-matching model"):
        scheduler("flow_match_euler")
    with pytest.raises(BadRequest, match="flow_match_euler has no schedule sgm_uniform"):
        build_scheduler(Sampling("flow_match_euler", "sgm_uniform", 8), FLOW, flow_matching=True, seeds=[1])


@pytest.mark.parametrize("schedule", KARRAS_LIKE)
def test_flow_matching_follows_a_schedule_that_is_asked_for_and_not_the_model_s_own(schedule: str) -> None:
    def sigmas(name: str, own: Mapping[str, object]) -> list[float]:
        built = build_scheduler(Sampling("flow_match_euler", name, 8), own, flow_matching=True, seeds=[1])
        built.set_timesteps(8)
        return [float(sigma) for sigma in built.sigmas]

    normal = sigmas("normal", FLOW)
    assert sigmas(schedule, FLOW) != normal
    assert sigmas("normal", {**FLOW, f"use_{schedule}_sigmas": True}) == normal


def test_a_shift_under_the_name_that_other_classes_give_it_is_taken_over() -> None:
    own = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0).config
    five = FlowMatchEulerDiscreteScheduler(shift=5.0).config
    taken, meant, other = (
        build_scheduler(Sampling("flow_match_euler", "normal", 8), config, flow_matching=True, seeds=[1])
        for config in (own, five, FLOW)
    )
    assert taken.sigmas.tolist() == meant.sigmas.tolist()
    assert taken.sigmas.tolist() != other.sigmas.tolist()


def test_names_that_are_not_ours_are_refused() -> None:
    with pytest.raises(BadRequest, match="the scheduler plms is not one of dpmpp_2m"):
        scheduler("plms")
    with pytest.raises(BadRequest, match="the schedule cosine is not one of normal"):
        scheduler("euler", "cosine")


def test_a_number_of_steps_that_a_sampler_cannot_do_is_refused() -> None:
    with pytest.raises(BadRequest, match="lcm with the schedule normal cannot do 60 steps"):
        scheduler("lcm", steps=60)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", [*SIGMA_SAMPLERS, *PLAIN_SAMPLERS])
def test_few_steps_are_possible(name: str, steps: int) -> None:
    assert len(scheduler(name, steps=steps).timesteps) >= steps
