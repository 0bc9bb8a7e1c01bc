"""
Embeddings of prompts that were encoded before, on the host, so that the text encoders need not be there again.

A row that was encoded in a batch of another size may differ from a fresh one in its last bits, as any row does; the
picture is the same to the eye (the tests hold it to 40 dB).

A preset says how many are kept; all together they take at most `MOST_BYTES`, which the fit test counts.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine.lora_shelf import Identity
from kilnwatt_worker.diffusers_engine.pipeline import Family, Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings

Row: TypeAlias = Mapping[str, torch.Tensor]
"""What encoders make of one text, by name."""


MOST_BYTES = 1_100_000_000
"""Of the host's memory: room for 256 prompts of Flux in half precision."""
CLIP_TOKENS = 77
T5_TOKENS = 512
T5_TOKENS_DISTILLED = 256
"""What Flux schnell, the model without guidance input, was made with."""


@dataclass(frozen=True, slots=True)
class Text:
    """
    What decides the embeddings of a text while a model is loaded. `layers_left_out` is 0 for negative prompts, to which
    clip skip does not apply; `loras` are those in effect that change a text encoder, each with its weight.
    """

    words: str
    layers_left_out: int
    loras: tuple[tuple[Identity, float], ...]


class PromptCache:
    """The `kept` texts that were used last."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._rows: OrderedDict[Text, Row] = OrderedDict()

    def __contains__(self, text: object) -> bool:
        return text in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def recall(self, texts: Sequence[Text]) -> dict[Text, Row]:
        """Those of the texts that are here, which are the last to leave from now on."""
        found = {text: self._rows[text] for text in texts if text in self._rows}
        for text in found:
            self._rows.move_to_end(text)
        return found

    def keep(self, rows: Mapping[Text, Row]) -> None:
        """Copies, because a row of a batch would hold the memory of the whole batch."""
        # Of more than are kept, the last: the others would only push each other out.
        for text in tuple(rows)[-self.kept :] if self.kept else ():
            self._rows[text] = {name: row.to("cpu", copy=True) for name, row in rows[text].items()}
            self._rows.move_to_end(text)
        while len(self._rows) > self.kept:
            self._rows.popitem(last=False)


def apply(target: Target) -> None:
    target.pipe.prompt_cache = PromptCache(_kept(target) if target.preset.prompt_cache else 0)


def in_effect(pipe: Pipeline) -> Settings:
    return {"prompt_cache": cache_of(pipe).kept}


def cache_of(pipe: Pipeline) -> PromptCache:
    """One that keeps nothing where none was made."""
    cache: PromptCache | None = getattr(pipe, "prompt_cache", None)
    return PromptCache(0) if cache is None else cache


def _kept(target: Target) -> int:
    asked, numbers = target.preset.prompt_cache, _NUMBERS.get(target.family)
    if numbers is None:
        target.downgrade("prompt_cache", 0, "a pipeline that is not known here encodes within its call")
        return 0
    denoiser = denoiser_of(target.pipe)
    size: int = numbers(denoiser.config) * denoiser.dtype.itemsize
    fitting = MOST_BYTES // size
    if asked <= fitting:
        return asked
    target.downgrade("prompt_cache", fitting, f"a prompt takes {size} bytes, and all together at most {MOST_BYTES}")
    return fitting


def _of_sd(config: Pipeline) -> int:
    return CLIP_TOKENS * int(config.cross_attention_dim)


def _of_sdxl(config: Pipeline) -> int:
    return _of_sd(config) + int(config.projection_class_embeddings_input_dim) - 6 * int(config.addition_time_embed_dim)


def _of_flux(config: Pipeline) -> int:
    tokens = T5_TOKENS if config.guidance_embeds else T5_TOKENS_DISTILLED
    return tokens * int(config.joint_attention_dim) + int(config.pooled_projection_dim)


_NUMBERS: Mapping[Family, Callable[[Pipeline], int]] = {"sd": _of_sd, "sdxl": _of_sdxl, "flux": _of_flux}
"""How many make up the row of a text, by the denoiser's configuration."""
