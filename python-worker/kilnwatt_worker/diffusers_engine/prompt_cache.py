"""
Embeddings of prompts that were encoded before, on the host, so that the text encoders need not be there again.

A row that was encoded in a batch of another size may differ from a fresh one in its last bits, as any row does; the
picture is the same to the eye (the tests hold it to 40 dB).
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine.lora_shelf import Identity
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings

Row: TypeAlias = Mapping[str, torch.Tensor]
"""What encoders make of one text, by name."""


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
    kept = target.preset.prompt_cache
    if kept and target.family == "other":
        target.downgrade("prompt_cache", 0, "a pipeline that is not known here encodes within its call")
        kept = 0
    target.pipe.prompt_cache = PromptCache(kept)


def in_effect(pipe: Pipeline) -> Settings:
    return {"prompt_cache": cache_of(pipe).kept}


def cache_of(pipe: Pipeline) -> PromptCache:
    """One that keeps nothing where none was made."""
    cache: PromptCache | None = getattr(pipe, "prompt_cache", None)
    return PromptCache(0) if cache is None else cache
