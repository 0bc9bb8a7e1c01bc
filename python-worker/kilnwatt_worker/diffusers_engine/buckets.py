"""Batches padded to few sizes, so that compiled shapes stay few."""

from collections.abc import Sequence

from kilnwatt_worker.parts import Item


def padded(items: Sequence[Item], sizes: Sequence[int]) -> list[Item]:
    """The items, then copies of the last one up to the next of the sizes; as they are above the largest."""
    room = min((size for size in sizes if size >= len(items)), default=len(items))
    return [*items, *[items[-1]] * (room - len(items))]
