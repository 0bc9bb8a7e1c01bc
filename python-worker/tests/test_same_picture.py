"""
A picture is the same alone, in a batch, and from the bare diffusers pipeline.

Compared are latents and decoded floats, before anything is rounded to eight bits. The bare side is written
out by hand here and shares no code with the engine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeAlias

import diffusers
import pytest
import torch

from kilnwatt_worker.diffusers_engine.decode import decode
from kilnwatt_worker.diffusers_engine.denoise import check, denoise
from kilnwatt_worker.diffusers_engine.encode import encode
from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline
from kilnwatt_worker.errors import BadRequest
from kilnwatt_worker.parts import Item, Params
from tests.samples import FLUX_PARAMS, PARAMS, item, load_of
from tiny_models.pipelines import RECIPES, make

TOLERANCE = 1e-4
LAST_DIGITS = 4e-6
"""Of the largest latent, 60 at times: a small picture alone goes without oneDNN, which adds up in another order."""


@dataclass(frozen=True)
class Made:
    latents: torch.Tensor
    floats: torch.Tensor


@dataclass(frozen=True)
class Case:
    family: str
    params: Params
    bare_scheduler: str
    bare_settings: dict[str, object]

    def __str__(self) -> str:
        return f"{self.family}-{self.params.scheduler}-{self.params.schedule}"


def sd(scheduler: str, schedule: str, bare: str, family: str = "sd", **settings: object) -> Case:
    return Case(family, replace(PARAMS, scheduler=scheduler, schedule=schedule, steps=6), bare, settings)


CASES = [
    sd("dpmpp_2m", "karras", "DPMSolverMultistepScheduler", use_karras_sigmas=True),
    sd("dpmpp_2m", "normal", "DPMSolverMultistepScheduler"),
    sd(
        "dpmpp_2m_sde",
        "exponential",
        "DPMSolverMultistepScheduler",
        algorithm_type="sde-dpmsolver++",
        use_exponential_sigmas=True,
    ),
    sd("dpmpp_sde", "karras", "DPMSolverSDEScheduler", use_karras_sigmas=True),
    sd("euler", "beta", "EulerDiscreteScheduler", use_beta_sigmas=True),
    sd("euler_a", "sgm_uniform", "EulerAncestralDiscreteScheduler", timestep_spacing="trailing"),
    sd("heun", "normal", "HeunDiscreteScheduler"),
    sd("unipc", "normal", "UniPCMultistepScheduler"),
    sd("ddim", "normal", "DDIMScheduler", clip_sample=False),
    sd("lcm", "normal", "LCMScheduler"),
    sd("pndm", "normal", "PNDMScheduler"),
    sd("dpmpp_2m", "karras", "DPMSolverMultistepScheduler", family="sdxl", use_karras_sigmas=True),
    sd("euler_a", "normal", "EulerAncestralDiscreteScheduler", family="sdxl"),
    Case("flux", FLUX_PARAMS, "FlowMatchEulerDiscreteScheduler", {}),
    Case("flux", replace(FLUX_PARAMS, guidance=3.0), "FlowMatchEulerDiscreteScheduler", {}),
]


def through_the_seam(loaded: LoadedPipeline, items: Sequence[Item], params: Params) -> list[Made]:
    conditioning = encode(loaded, items, params)
    latents = denoise(loaded, conditioning, params, [one.seed for one in items], lambda _step, _steps: None)
    return [Made(row, decoded_alone(loaded, row, params)) for row in latents]


def decoded_alone(loaded: LoadedPipeline, row: torch.Tensor, params: Params) -> torch.Tensor:
    [decoded] = decode(loaded, row.unsqueeze(0), params)
    assert isinstance(decoded, torch.Tensor)
    return decoded


Both: TypeAlias = Callable[[str], tuple[LoadedPipeline, Pipeline]]


@pytest.fixture(scope="module")
def both(model: Callable[[str], Path]) -> Both:
    """A family's model as it is loaded here and as it is without us, each loaded once."""

    @cache
    def loaded(family: str) -> tuple[LoadedPipeline, Pipeline]:
        return load_pipeline(load_of(model(family)), lambda _level, _message: None), bare_of(model(family))

    return loaded


def bare_of(path: Path) -> Pipeline:
    pipe: Pipeline = diffusers.DiffusionPipeline.from_pretrained(str(path), dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def bare(pipe: Pipeline, case: Case, one: Item, **more: object) -> Made:
    own = pipe.scheduler
    settings = dict(case.bare_settings)
    if case.bare_scheduler == "DPMSolverSDEScheduler":
        settings["noise_sampler_seed"] = [one.seed]
    factory = getattr(diffusers, case.bare_scheduler)

    def run(output_type: str) -> torch.Tensor:
        pipe.scheduler = factory.from_config(own.config, **settings)
        made: torch.Tensor = pipe(
            one.prompt,
            width=case.params.width,
            height=case.params.height,
            num_inference_steps=case.params.steps,
            generator=torch.Generator().manual_seed(one.seed),
            output_type=output_type,
            **bare_guidance(case.params, one),
            **more,
        ).images[0]
        return made

    try:
        return Made(run("latent"), run("pt"))
    finally:
        pipe.scheduler = own


def bare_guidance(params: Params, one: Item) -> dict[str, object]:
    if params.distilled_guidance is None:
        return {"guidance_scale": params.guidance, "negative_prompt": one.negative_prompt or None}
    true = {"true_cfg_scale": params.guidance, "negative_prompt": one.negative_prompt} if params.guidance > 1 else {}
    return {"guidance_scale": params.distilled_guidance, **true}


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_picture_is_the_same_in_a_batch_alone_and_bare(case: Case, both: Both) -> None:
    loaded, pipe = both(case.family)
    items = [item(0), item(1, negative="blurry"), item(2), item(3, negative="low quality, text")]

    batch = through_the_seam(loaded, items, case.params)
    for row in (0, 3):
        (alone,) = through_the_seam(loaded, [items[row]], case.params)
        reference = bare(pipe, case, items[row])
        for made in (batch[row], alone):
            largest = float(reference.latents.abs().max())
            assert distance(made.latents, reference.latents) < max(TOLERANCE, LAST_DIGITS * largest)
            assert distance(made.floats, reference.floats) < TOLERANCE

    assert float(batch[0].floats.std()) > 0.02, "the picture is a constant"
    (reseeded,) = through_the_seam(loaded, [replace(items[0], seed=77)], case.params)
    assert distance(reseeded.floats, batch[0].floats) > 0.05, "another seed makes the same picture"


def test_an_unknown_pipeline_takes_the_general_way_to_the_same_picture(model: Callable[[str], Path]) -> None:
    path = model("sd")
    known = load_pipeline(load_of(path), lambda _level, _message: None)
    unknown = replace(known, family="other")
    items = [item(0, negative="blurry"), item(1)]
    for one, other in zip(
        through_the_seam(known, items, PARAMS), through_the_seam(unknown, items, PARAMS), strict=True
    ):
        assert distance(one.latents, other.latents) < TOLERANCE
        assert distance(one.floats, other.floats) < TOLERANCE


def test_a_flux_model_without_guidance_input_reads_as_many_tokens_as_it_was_made_with(tmp_path: Path) -> None:
    """As Flux schnell is."""
    made = make(RECIPES["flux"])
    config = {**made.transformer.config, "guidance_embeds": False}
    made.register_modules(transformer=diffusers.FluxTransformer2DModel.from_config(config))
    made.save_pretrained(tmp_path)
    loaded = load_pipeline(load_of(tmp_path), lambda _level, _message: None)
    case = Case("flux", replace(FLUX_PARAMS, distilled_guidance=None), "FlowMatchEulerDiscreteScheduler", {})
    check(loaded, case.params)
    (ours,) = through_the_seam(loaded, [item(0)], case.params)
    reference = bare(bare_of(tmp_path), case, item(0), max_sequence_length=256)
    assert distance(ours.latents, reference.latents) < TOLERANCE
    assert distance(ours.floats, reference.floats) < TOLERANCE


class PromptOnly:
    def __call__(self, prompt: list[str]) -> None: ...


def test_a_pipeline_that_takes_no_negative_prompt_is_not_given_one_in_silence(model: Callable[[str], Path]) -> None:
    known = load_pipeline(load_of(model("sd")), lambda _level, _message: None)
    loaded = replace(known, pipe=PromptOnly(), family="other")
    with pytest.raises(BadRequest, match="a PromptOnly takes no negative prompt; leave it out"):
        encode(loaded, [item(0), item(1, negative="blurry")], PARAMS)
    assert encode(loaded, [item(0)], PARAMS) == {"prompt": [item(0).prompt]}


def test_clip_skip_of_sdxl_counts_from_the_last_but_one_layer_of_both_encoders(model: Callable[[str], Path]) -> None:
    loaded = load_pipeline(load_of(model("sdxl")), lambda _level, _message: None)
    pipe = loaded.pipe
    embeds = encode(loaded, [item(0)], replace(PARAMS, clip_skip=1))["prompt_embeds"]
    assert isinstance(embeds, torch.Tensor)
    layers = []
    for tokenizer, encoder in ((pipe.tokenizer, pipe.text_encoder), (pipe.tokenizer_2, pipe.text_encoder_2)):
        tokens = tokenizer(item(0).prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        with torch.no_grad():
            layers.append(encoder(tokens, output_hidden_states=True).hidden_states[-3])
    assert distance(embeds, torch.cat(layers, dim=-1)) < TOLERANCE


def test_clip_skip_leaves_out_the_last_layers_but_not_the_norm(model: Callable[[str], Path]) -> None:
    """Found on the way: diffusers 0.40 cannot do this with transformers 5, which has renamed a part of CLIP."""
    loaded = load_pipeline(load_of(model("sd")), lambda _level, _message: None)
    prompt = item(0).prompt
    embeds = encode(loaded, [item(0)], replace(PARAMS, clip_skip=1))["prompt_embeds"]
    assert isinstance(embeds, torch.Tensor)

    tokens = loaded.pipe.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        layers = loaded.pipe.text_encoder(tokens, output_hidden_states=True)
        expected = loaded.pipe.text_encoder.final_layer_norm(layers.hidden_states[-2])
    assert distance(embeds, expected) < TOLERANCE
    assert distance(embeds, layers.last_hidden_state) > 1e-2
