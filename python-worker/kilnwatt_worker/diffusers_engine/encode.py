"""First stage: prompts to the tensors that steer the denoiser, for a whole batch at once."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine.pipeline import Family, LoadedPipeline, Pipeline
from kilnwatt_worker.engine import LogTo
from kilnwatt_worker.errors import BadRequest
from kilnwatt_worker.parts import Item, Params

Conditioning: TypeAlias = Mapping[str, object]
"""Arguments of the pipeline's call that come from prompts, one row an item."""

T5_TOKENS = 512
T5_TOKENS_DISTILLED = 256
"""What Flux schnell, the model without guidance input, was made with."""


@torch.no_grad()
def encode(loaded: LoadedPipeline, items: Sequence[Item], params: Params) -> Conditioning:
    """Row i belongs to item i. Negative prompts count only where guidance is above 1."""
    return _ENCODERS[loaded.family](loaded, items, params)


def warn_of_long_prompts(loaded: LoadedPipeline, items: Sequence[Item], params: Params, log: LogTo) -> None:
    """The rest of a long prompt does nothing, and without this nobody would know."""
    for name, limit in _limits(loaded):
        tokenizer = getattr(loaded.pipe, name, None)
        if tokenizer is None:
            continue
        for item in items:
            for kind, text in (("prompt", item.prompt), ("negative prompt", item.negative_prompt)):
                if kind == "negative prompt" and params.guidance <= 1:
                    continue
                if len(tokenizer(text, truncation=False)["input_ids"]) > limit:
                    log(
                        "warning",
                        f"the {kind} of job {item.job} is longer than the {limit} tokens that the model reads; "
                        "the rest is ignored",
                    )


def warn_of_idle_negatives(items: Sequence[Item], params: Params, log: LogTo) -> None:
    """For Flux too, whose distilled guidance knows no negative prompt: its true guidance is the one that is asked."""
    if params.guidance <= 1 and any(_negatives(items)):
        log("warning", f"guidance {params.guidance:g} is not above 1; the batch's negative prompts are ignored")


def _limits(loaded: LoadedPipeline) -> list[tuple[str, int]]:
    if loaded.family == "flux":
        return [("tokenizer_2", _t5_tokens(loaded))]  # its CLIP gives a summary only and is short by design
    if loaded.family == "other":
        return []
    return [("tokenizer", int(loaded.pipe.tokenizer.model_max_length))]


def _encode_sd(loaded: LoadedPipeline, items: Sequence[Item], params: Params) -> Conditioning:
    prompt, negative = loaded.pipe.encode_prompt(
        _prompts(items),
        loaded.pipe._execution_device,
        1,
        params.guidance > 1,
        negative_prompt=_negatives(items),
        clip_skip=params.clip_skip or None,
    )
    return _given(prompt_embeds=prompt, negative_prompt_embeds=negative)


def _encode_sdxl(loaded: LoadedPipeline, items: Sequence[Item], params: Params) -> Conditioning:
    pipe = loaded.pipe
    prompt, negative, pooled, negative_pooled = pipe.encode_prompt(
        prompt=_prompts(items),
        device=pipe._execution_device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=params.guidance > 1,
        negative_prompt=_negatives(items),
        clip_skip=params.clip_skip or None,
    )
    if params.guidance > 1 and pipe.config.force_zeros_for_empty_prompt:
        # As the pipeline does for a negative prompt that is left out; here row by row.
        _zero_rows(items, negative, negative_pooled)
    return _given(
        prompt_embeds=prompt,
        negative_prompt_embeds=negative,
        pooled_prompt_embeds=pooled,
        negative_pooled_prompt_embeds=negative_pooled,
    )


def _encode_flux(loaded: LoadedPipeline, items: Sequence[Item], params: Params) -> Conditioning:
    prompt, pooled, _ = _flux_prompt(loaded, _prompts(items))
    if params.guidance <= 1:
        return {"prompt_embeds": prompt, "pooled_prompt_embeds": pooled}
    negative, negative_pooled, _ = _flux_prompt(loaded, _negatives(items))
    return {
        "prompt_embeds": prompt,
        "pooled_prompt_embeds": pooled,
        "negative_prompt_embeds": negative,
        "negative_pooled_prompt_embeds": negative_pooled,
    }


def _encode_other(loaded: LoadedPipeline, items: Sequence[Item], params: Params) -> Conditioning:
    """Pipelines whose encoders are not known here encode within their call."""
    if "negative_prompt" in inspect.signature(type(loaded.pipe).__call__).parameters:
        return {"prompt": _prompts(items), "negative_prompt": _negatives(items)}
    if params.guidance > 1 and any(_negatives(items)):
        raise BadRequest(f"a {type(loaded.pipe).__name__} takes no negative prompt; leave it out")
    return {"prompt": _prompts(items)}


_ENCODERS: Mapping[Family, Callable[[LoadedPipeline, Sequence[Item], Params], Conditioning]] = {
    "sd": _encode_sd,
    "sdxl": _encode_sdxl,
    "flux": _encode_flux,
    "other": _encode_other,
}


def _flux_prompt(loaded: LoadedPipeline, prompts: list[str]) -> tuple[Pipeline, Pipeline, Pipeline]:
    prompt, pooled, ids = loaded.pipe.encode_prompt(
        prompt=prompts,
        prompt_2=None,
        device=loaded.pipe._execution_device,
        num_images_per_prompt=1,
        max_sequence_length=_t5_tokens(loaded),
    )
    return prompt, pooled, ids


def _t5_tokens(loaded: LoadedPipeline) -> int:
    return T5_TOKENS if loaded.takes_distilled_guidance else T5_TOKENS_DISTILLED


def _zero_rows(items: Sequence[Item], *tensors: torch.Tensor) -> None:
    rows = [row for row, item in enumerate(items) if item.negative_prompt == ""]
    for tensor in tensors:
        tensor[rows] = 0


def _given(**tensors: torch.Tensor | None) -> Conditioning:
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _prompts(items: Sequence[Item]) -> list[str]:
    return [item.prompt for item in items]


def _negatives(items: Sequence[Item]) -> list[str]:
    return [item.negative_prompt for item in items]
