"""Batches padded to few sizes, so that compiled shapes stay few."""

from collections.abc import Sequence

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Item, Settings


def apply(target: Target) -> None:
    target.pipe.batch_sizes = tuple(target.preset.buckets)


def in_effect(pipe: Pipeline) -> Settings:
    """The sizes that batches are padded to, with commas between them; empty: none is padded."""
    return {"buckets": ",".join(str(size) for size in batch_sizes(pipe))}


def batch_sizes(pipe: Pipeline) -> tuple[int, ...]:
    sizes: tuple[int, ...] = getattr(pipe, "batch_sizes", ())
    return sizes


def padded(items: Sequence[Item], sizes: Sequence[int]) -> list[Item]:
    """
    The items, then copies of the last one up to the next of the sizes; as they are above the largest.

    A copy has the prompt and the seed of its item: it is encoded with it, and no other row's noise changes. It is
    denoised and then dropped.
    """
    room = min((size for size in sizes if size >= len(items)), default=len(items))
    return [*items, *[items[-1]] * (room - len(items))]
