"""The host in place of a card, for what is copied from one to the other while a stream works."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine import placement
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from tests.techniques import engine_with, pipeline_in, target_of


class HostStream(torch.cpu.Stream):
    """Whatever is put into it is done already."""

    def synchronize(self) -> None:
        pass


def _copied(tensor: torch.Tensor, *_: object) -> torch.Tensor:
    return tensor.clone()


def _nothing(*_: object) -> None:
    pass


@contextmanager
def host_as_card(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside, streams of cards can be made; what was made of them works for the rest of the test."""
    patch.setattr(torch.Tensor, "pin_memory", _copied)
    patch.setattr(torch.Tensor, "record_stream", _nothing)
    with patch.context() as inside:
        inside.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cpu"))
        inside.setattr(torch.cuda, "is_available", lambda: True)
        inside.setattr(torch.cuda, "Stream", HostStream)
        yield


def placed(
    path: Path, offload: str, monkeypatch: pytest.MonkeyPatch, **settings: object
) -> tuple[DiffusersEngine, dict[str, int]]:
    """As on a card, for which the host stands in; with the bytes of each part's weights before."""
    engine, facts = engine_with(path, **settings)
    with host_as_card(monkeypatch):
        placement.place(target_of(pipeline_in(engine), path, offload=offload), offload, as_on_a_card=True)
    return engine, dict(facts.weights)
