"""
The denoiser as compiled code: as a whole, or each of its repeated blocks.

Nothing is compiled before a batch brings a shape. The call that does is told as the phase `compile`, whatever else it
does, and the picture is the same: it is the batch's own first step and not one more. Whether the denoiser can be
compiled at all is tried at load, with few latents.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine import compile_trial, tensorrt
from kilnwatt_worker.diffusers_engine.compile_state import MODES, backend_of, graphs, last_reason
from kilnwatt_worker.diffusers_engine.device_errors import device_error
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.engine import Report
from kilnwatt_worker.errors import BadRequest, Stopped, WorkerError
from kilnwatt_worker.parts import Params, Preset, Settings
