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
    config = scheduler(name).config
    assert (config["beta_start"], config["beta_schedule"]) == (0.00085, "scaled_linear")
    assert config["prediction_type"] == "v_prediction"


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


@pytest.mark.parametrize("name", [*SIGMA_SAMPLERS, *PLAIN_SAMPLERS])
def test_sgm_uniform_is_trailing_for_every_sampler(name: str) -> None:
    assert scheduler(name, "sgm_uniform").config["timestep_spacing"] == "trailing"


def test_a_schedule_asked_for_replaces_the_one_that_the_model_came_with() -> None:
    own = {**OWN, "use_karras_sigmas": True}
    config = build_scheduler(Sampling("euler", "exponential", 8), own, flow_matching=False, seeds=[1]).config
    assert (config["use_karras_sigmas"], config["use_exponential_sigmas"]) == (False, True)
    kept = build_scheduler(Sampling("euler", "normal", 8), own, flow_matching=False, seeds=[1]).config
    assert kept["use_karras_sigmas"] is True


def test_flow_matching_goes_with_its_own_sampler_only() -> None:
    with pytest.raises(BadRequest, match="dpmpp_2m cannot be used: this is a flow-matching model"):
        build_scheduler(Sampling("dpmpp_2m", "normal", 8), FLOW, flow_matching=True, seeds=[1])
    with pytest.raises(BadRequest, match="flow_match_euler cannot be used: this is not a flow-matching model"):
        scheduler("flow_match_euler")
    with pytest.raises(BadRequest, match="flow_match_euler has no schedule sgm_uniform"):
        build_scheduler(Sampling("flow_match_euler", "sgm_uniform", 8), FLOW, flow_matching=True, seeds=[1])
    built = build_scheduler(Sampling("flow_match_euler", "karras", 8), FLOW, flow_matching=True, seeds=[1])
    assert built.config["use_karras_sigmas"] is True


def test_a_shift_under_the_name_that_other_classes_give_it_is_taken_over() -> None:
    own = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0).config
    built = build_scheduler(Sampling("flow_match_euler", "normal", 8), own, flow_matching=True, seeds=[1])
    assert built.config["shift"] == 5.0
    kept = build_scheduler(Sampling("flow_match_euler", "normal", 8), FLOW, flow_matching=True, seeds=[1])
    assert kept.config["shift"] == 3.0


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
