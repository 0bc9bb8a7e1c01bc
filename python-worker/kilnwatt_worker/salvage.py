"""Answers for a request that could not be read, so that nobody waits for it in vain."""

from typing import TypeGuard

from kilnwatt_worker import resident
from kilnwatt_worker.messages import Answer, Done, Failure, Generate, Load
from kilnwatt_worker.parts import PhaseSeconds
from kilnwatt_worker.sentences import MAX_SENTENCE

NO_TIME = PhaseSeconds(0.0, 0.0, 0.0, 0.0)


def salvage(raw: object, sentence: str) -> list[Answer]:
    """
    A failure for each job that the broken line still names, then its `done`; nothing where it names no batch.

    A name longer than any of ours is not repeated: nobody waits for it, and the answer might not fit into a line.
    """
    if not isinstance(raw, dict):
        return []
    if raw.get("type") == Load.type:
        return [Failure(None, None, "bad_request", sentence, retryable=False, energy=None)]
    batch = raw.get("batch")
    if raw.get("type") != Generate.type or not _is_name(batch):
        return []
    failures = [
        Failure(batch, job, "bad_request", sentence, retryable=False, energy=None) for job in _jobs(raw.get("items"))
    ]
    return [*failures, Done(batch, 0.0, NO_TIME, None, None, resident.host_memory(), resident.NO_ENERGY)]


def _jobs(items: object) -> list[str]:
    if not isinstance(items, list):
        return []
    jobs = (item.get("job") for item in items if isinstance(item, dict))
    return list(dict.fromkeys(job for job in jobs if _is_name(job)))


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= MAX_SENTENCE
