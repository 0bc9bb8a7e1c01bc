"""From a folder to a pipeline on its device. No network, no pickles, no safety checker."""

import inspect
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError

from kilnwatt_worker.combinations import Facts, refuse
from kilnwatt_worker.diffusers_engine.components import refuse_lacking, transformers_components
from kilnwatt_worker.diffusers_engine.device_errors import device_error
from kilnwatt_worker.diffusers_engine.optimise import apply
from kilnwatt_worker.diffusers_engine.pipeline import FAMILIES, Family, LoadedPipeline, Pipeline
from kilnwatt_worker.diffusers_engine.pipeline_class import pipeline_class_of, unsupported
from kilnwatt_worker.diffusers_engine.precision import DTYPES
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.engine import LogTo
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.extras import require_all
from kilnwatt_worker.messages import Load
from kilnwatt_worker.model_folder import LEFT_OUT, ModelFolder, judge
from kilnwatt_worker.parts import Preset
from kilnwatt_worker.sentences import first_line


@dataclass(frozen=True, slots=True)
class Read:
    """How a pipeline comes from its folder: a stand-in for reading its weights, where a machine has none to read."""

    whole: Callable[[ModelFolder, torch.dtype], Pipeline]
    part: Callable[[ModelFolder, str, torch.dtype], Pipeline]
    """One of it by its name, with the same weights, in another dtype."""


def load_pipeline(load: Load, log: LogTo, read: Read | None = None) -> LoadedPipeline:
    """Raises WorkerError `device_missing`, `model_missing`, `_unsafe`, `_broken`, `_unsupported`, and `preset_*`."""
    _quiet()
    folder = judge(load.model.path)
    family = FAMILIES.get(folder.pipeline_class, "other")
    if load.model.family not in (family, "other"):
        log("warning", f"{load.model.path} was taken for {load.model.family} but is {family} ({folder.pipeline_class})")
    device = device_of(load.device)
    refuse(load.preset, facts_of(folder, family, device))
    require_all(load.preset, on_card=device.type == "cuda")
    pipe = (read.whole if read else _from_folder)(folder, dtype_of(load.preset, promises_flow_matching(folder), device))
    _check_supported(pipe, folder, family)
    pipe.set_progress_bar_config(disable=True)
    _keep_old_name_of_clip(pipe)
    make_again = partial(read.part, folder) if read else None
    target = Target(pipe, load.preset, family, device, folder.path, log, make_again=make_again)
    settings = apply(target)
    return LoadedPipeline(
        pipe=pipe,
        family=family,
        device=device,
        scheduler_config=pipe.scheduler.config,
        flow_matching=is_flow_matching(type(pipe.scheduler).__name__, pipe.scheduler.config),
        preset=load.preset,
        settings={"device": load.device, **settings},
        downgrades=tuple(target.downgrades),
    )


def versions() -> dict[str, str]:
    """Of what decides how a picture looks."""
    return {
        "torch": str(torch.__version__),
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
    }


def device_of(name: str) -> torch.device:
    """`cpu:1` is one more worker on the same processor, not another device."""
    if name.startswith("cpu"):
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise WorkerError("device_missing", f"{name} is no device that torch knows") from error
    if device.type != "cuda" or not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
        raise WorkerError("device_missing", f"torch {torch.__version__} does not see {name}; run `kilnwatt doctor`")
    return device


def facts_of(folder: ModelFolder, family: Family, device: torch.device) -> Facts:
    """What decides whether a preset can hold, before any weights are read. LoRAs come later, with each batch."""
    on_card = device.type == "cuda"
    major, minor = torch.cuda.get_device_capability(device) if on_card else (0, 0)
    return Facts(
        device="cuda" if on_card else "cpu",
        denoiser="unet" if "unet" in folder.components else "transformer",
        family=family,
        capability=float(f"{major}.{minor}") if on_card else None,
    )


def dtype_of(preset: Preset, flow_matching: bool, device: torch.device) -> torch.dtype:
    """`auto`: half precision where the device is fast at it; flow-matching models overflow float16, so bfloat16."""
    if preset.dtype != "auto":
        return DTYPES[preset.dtype]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if flow_matching else torch.float16


def is_flow_matching(scheduler: str, config: Mapping[str, object]) -> bool:
    return scheduler.startswith("FlowMatch") or config.get("prediction_type") == "flow_prediction"


def promises_flow_matching(folder: ModelFolder) -> bool:
    """Read before loading, which needs the dtype. What is wrong with the file, the loading says."""
    try:
        config: object = json.loads((folder.path / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and is_flow_matching(str(config.get("_class_name")), config)


def _from_folder(folder: ModelFolder, dtype: torch.dtype) -> Pipeline:
    # Names of parts; diffusers warns about those that it does not have.
    expected = inspect.signature(pipeline_class_of(folder).__init__).parameters
    left_out = {name: None for name in LEFT_OUT if name in expected}
    checker = {"requires_safety_checker": False} if "safety_checker" in left_out else {}
    try:
        pipe = DiffusionPipeline.from_pretrained(
            str(folder.path),
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            variant=folder.variant,
            **transformers_components(folder, dtype),
            **left_out,
            **checker,
        )
    except ImportError as error:
        raise unsupported(folder, first_line(error)) from error
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError) as error:
        if device_error(error, "loading the model") is not None:
            raise
        raise WorkerError("model_broken", f"{folder.path} cannot be loaded: {first_line(error)}") from error
    refuse_lacking(pipe, folder)
    return pipe


def _check_supported(pipe: Pipeline, folder: ModelFolder, family: Family) -> None:
    if not isinstance(getattr(pipe, "vae", None), AutoencoderKL):
        raise unsupported(folder, "its pictures are not decoded by an AutoencoderKL")
    if family != "flux" and hasattr(pipe, "_unpack_latents"):
        raise unsupported(folder, "its latents are packed in a way that is not known here")
    scheduler = type(pipe.scheduler).__name__
    if scheduler.startswith("EDM"):  # its inputs and outputs are scaled in a way of their own
        raise unsupported(folder, f"it was trained for {scheduler}, and none of the schedulers here works with that")


def _keep_old_name_of_clip(pipe: Pipeline) -> None:
    """diffusers 0.40 finds the encoder's last norm, for clip skip, under a name that transformers 5 has dropped."""
    encoder = getattr(pipe, "text_encoder", None)
    if isinstance(encoder, transformers.CLIPTextModel) and not hasattr(encoder, "text_model"):
        # Past nn.Module's own __setattr__, which would make the encoder a part of itself.
        object.__setattr__(encoder, "text_model", encoder)


def _quiet() -> None:
    """Their warnings repeat what `log` messages say, and progress bars fill logs."""
    # The last step of dpmpp_sde is off by a rounding of float32, and torchsde puts it right.
    warnings.filterwarnings("ignore", message="Should have t[ab]", category=UserWarning)
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
