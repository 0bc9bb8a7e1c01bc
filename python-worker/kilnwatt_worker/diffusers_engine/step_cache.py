"""Denoise steps that are not computed in whole, because little changes between them."""

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings


def apply(target: Target) -> None:
    del target


def in_effect(pipe: Pipeline) -> Settings:
    del pipe
    return {}
