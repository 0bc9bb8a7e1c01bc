"""
First stage: prompts to the tensors that steer the denoiser, for a whole batch at once.

Each text is encoded once, however many rows ask for it, and not at all while the prompt cache has it.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine import lora, placement
from kilnwatt_worker.diffusers_engine.pipeline import Family, LoadedPipeline
from kilnwatt_worker.diffusers_engine.prompt_cache import T5_TOKENS, T5_TOKENS_DISTILLED, Row, Text, cache_of
from kilnwatt_worker.engine import LogTo
from kilnwatt_worker.errors import BadRequest
from kilnwatt_worker.parts import Item, Params

Conditioning: TypeAlias = Mapping[str, object]
"""Arguments of the pipeline's call that come from prompts, one row an item."""


@torch.no_grad()
def encode(loaded: LoadedPipeline, items: Sequence[Item], params: Params) -> Conditioning:
    """Row i belongs to item i. Negative prompts count only where guidance is above 1."""
    if loaded.family == "other":
        return _encode_other(loaded, items, params)
    asked = [texts_of(loaded, item, params) for item in items]
    cache = cache_of(loaded.pipe)
    unique = list(dict.fromkeys(text for texts in asked for text in texts))
    rows = cache.recall(unique)
    if missing := [text for text in unique if text not in rows]:
        with placement.encoders(loaded):
            fresh = _rows(loaded, missing)
            cache.keep(fresh)
            rows |= fresh
    given = _stacked(loaded, "", [rows[texts[0]] for texts in asked])
    if params.guidance > 1:
        negative = _stacked(loaded, "negative_", [rows[texts[1]] for texts in asked])
        if loaded.family == "sdxl" and loaded.pipe.config.force_zeros_for_empty_prompt:
            # As the pipeline does for a negative prompt that is left out; here row by row.
            _zero_rows(items, negative.values())
        given |= negative
    return given


def remembered(loaded: LoadedPipeline, items: Sequence[Item], params: Params) -> int:
    """Of how many items no text has to be encoded."""
    cache = cache_of(loaded.pipe)
    return sum(all(text in cache for text in texts_of(loaded, item, params)) for item in items)


def texts_of(loaded: LoadedPipeline, item: Item, params: Params) -> tuple[Text, ...]:
    """The prompt, and the negative prompt where it counts."""
    loras = lora.text_key(loaded)
    prompt = Text(item.prompt, params.clip_skip, loras)
    return (prompt, Text(item.negative_prompt, 0, loras)) if params.guidance > 1 else (prompt,)


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


def _rows(loaded: LoadedPipeline, texts: Sequence[Text]) -> dict[Text, Row]:
    """Encoded now: those that leave out as many layers together."""
    rows: dict[Text, Row] = {}
    for left_out in sorted({text.layers_left_out for text in texts}):
        together = [text for text in texts if text.layers_left_out == left_out]
        tensors = _ENCODERS[loaded.family](loaded, [text.words for text in together], left_out or None)
        for row, text in enumerate(together):
            rows[text] = {name: tensor[row] for name, tensor in tensors.items()}
    return rows


def _sd_embeddings(loaded: LoadedPipeline, texts: list[str], left_out: int | None) -> dict[str, torch.Tensor]:
    embeds, _ = loaded.pipe.encode_prompt(texts, loaded.device, 1, False, clip_skip=left_out)
    return {"prompt_embeds": embeds}


def _sdxl_embeddings(loaded: LoadedPipeline, texts: list[str], left_out: int | None) -> dict[str, torch.Tensor]:
    embeds, _, pooled, _ = loaded.pipe.encode_prompt(
        prompt=texts,
        device=loaded.device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
        clip_skip=left_out,
    )
    return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}


def _flux_embeddings(loaded: LoadedPipeline, texts: list[str], _left_out: int | None) -> dict[str, torch.Tensor]:
    embeds, pooled, _ = loaded.pipe.encode_prompt(
        prompt=texts,
        prompt_2=None,
        device=loaded.device,
        num_images_per_prompt=1,
        max_sequence_length=_t5_tokens(loaded),
    )
    return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}


_ENCODERS: Mapping[Family, Callable[[LoadedPipeline, list[str], int | None], dict[str, torch.Tensor]]] = {
    "sd": _sd_embeddings,
    "sdxl": _sdxl_embeddings,
    "flux": _flux_embeddings,
}


def _stacked(loaded: LoadedPipeline, prefix: str, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """As the pipeline's call names them. Rows of the cache come from the host."""
    return {prefix + name: torch.stack([row[name].to(loaded.device) for row in rows]) for name in rows[0]}


def _encode_other(loaded: LoadedPipeline, items: Sequence[Item], params: Params) -> Conditioning:
    """Pipelines whose encoders are not known here encode within their call."""
    if "negative_prompt" in inspect.signature(type(loaded.pipe).__call__).parameters:
        return {"prompt": _prompts(items), "negative_prompt": _negatives(items)}
    if params.guidance > 1 and any(_negatives(items)):
        raise BadRequest(f"a {type(loaded.pipe).__name__} takes no negative prompt; leave it out")
    return {"prompt": _prompts(items)}


def _t5_tokens(loaded: LoadedPipeline) -> int:
    return T5_TOKENS if loaded.takes_distilled_guidance else T5_TOKENS_DISTILLED


def _zero_rows(items: Sequence[Item], tensors: Iterable[torch.Tensor]) -> None:
    rows = [row for row, item in enumerate(items) if item.negative_prompt == ""]
    for tensor in tensors:
        tensor[rows] = 0


def _prompts(items: Sequence[Item]) -> list[str]:
    return [item.prompt for item in items]


def _negatives(items: Sequence[Item]) -> list[str]:
    return [item.negative_prompt for item in items]
