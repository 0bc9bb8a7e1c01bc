"""
A model of full size on a machine that has no model: a folder of configs, and weights made on the device itself.

Flux alone is 34 GB: made on the card in seconds, it needs neither a disk nor a network. What the folder has instead of
weights are empty files, so that everything but the reading goes the way of any model.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DiffusionPipeline

from kilnwatt_worker.diffusers_engine.load import Read
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.model_folder import ModelFolder
from proof.architectures import ARCHITECTURES, Architecture, refuse_wrong_sizes
from tiny_models.parts import tiny_vae
from tiny_models.pipelines import RECIPES, SEED
from tiny_models.writing import ensure

LATENT_CHANNELS = {"sd": 4, "sdxl": 4, "flux": 16}
NO_TENSORS = (2).to_bytes(8, "little") + b"{}"
"""A safetensors file with nothing in it."""


def models_of(
    families: Sequence[str], small: bool, folder: Path, device: torch.device
) -> tuple[dict[str, Path], Read | None]:
    """Each with a tiny VAE, for previews, in its folder."""
    if small:
        folders = {name: ensure(RECIPES[name], folder).path for name in families}
        for name, path in folders.items():
            write_tiny_vae(path, partial(tiny_vae, LATENT_CHANNELS[name]))
        return folders, None
    folders = {name: folder / name for name in families}
    for name, path in folders.items():
        write_folder(ARCHITECTURES[name], path)
        write_tiny_vae(path, partial(AutoencoderTiny, latent_channels=LATENT_CHANNELS[name]))
    return folders, reader(dict(ARCHITECTURES), device)


def write_folder(architecture: Architecture, folder: Path) -> None:
    """All but the weights, as `save_pretrained` lays it out. Raises ValueError for a part of another size."""
    pipe = _planned(architecture.make)
    refuse_wrong_sizes(pipe, architecture)
    folder.mkdir(parents=True, exist_ok=True)
    pipe.save_config(folder)
    for name, part in pipe.components.items():
        if isinstance(part, torch.nn.Module):
            _write_part(part, folder / name)
        elif part is not None:
            part.save_pretrained(folder / name)


def write_tiny_vae(folder: Path, make: Callable[[], AutoencoderTiny]) -> None:
    """With its weights, of random numbers: it is small, and read from there whatever the rest comes from."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        tiny = make()
    last = tiny.decoder.layers[-1]
    with torch.no_grad():
        # Untrained, it would decode to black.
        last.weight.mul_(10.0)
        last.bias.fill_(0.5)
    tiny.save_pretrained(folder / "tiny_vae")


def reader(architectures: dict[str, Architecture], device: torch.device) -> Read:
    """Makes what a folder is named after, on the device and in the dtype that the load asks for."""

    def whole(folder: ModelFolder, dtype: torch.dtype) -> Pipeline:
        return build(architectures[folder.path.name].make, device, dtype)

    def part(folder: ModelFolder, name: str, dtype: torch.dtype) -> Pipeline:
        return _build_part(_planned(architectures[folder.path.name].make).components[name], device, dtype)

    return Read(whole, part)


def build(make: Callable[[], DiffusionPipeline], device: torch.device, dtype: torch.dtype) -> DiffusionPipeline:
    """The same random weights on each call on one device, whatever the dtype: drawn in the coarsest, then cast."""
    pipe = _planned(make)
    for name, part in pipe.components.items():
        if isinstance(part, torch.nn.Module):
            pipe.register_modules(**{name: _build_part(part, device, dtype)})
    return pipe


def _planned(make: Callable[[], DiffusionPipeline]) -> DiffusionPipeline:
    with torch.device("meta"):
        return make()


def _build_part(planned: Pipeline, device: torch.device, dtype: torch.dtype) -> Pipeline:
    """Each from the same seed, so that one that is made alone equals that of a whole pipeline."""
    before, kind = torch.get_default_dtype(), type(planned)
    torch.manual_seed(SEED)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            part = kind.from_config(planned.config) if hasattr(kind, "from_config") else kind(planned.config)
    finally:
        torch.set_default_dtype(before)
    if isinstance(part, AutoencoderKL):
        with torch.no_grad():
            # Untrained, it would decode to grey, and a picture of one colour counts as a failure.
            part.decoder.conv_out.weight.mul_(3.0)
    part.to(dtype=dtype).eval().requires_grad_(False)
    _refuse_zeros(part)
    return part


def _refuse_zeros(part: torch.nn.Module) -> None:
    """Weights that are all zero would run faster than real ones."""
    still = [name for name, weight in part.named_parameters() if weight.dim() > 1 and not bool(weight.any())]
    if still:
        raise ValueError(f"{type(part).__name__} begins with the weight {still[0]} at zero; give it random values")


def _write_part(part: Pipeline, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    ours = hasattr(part, "save_config")
    if ours:
        part.save_config(folder)
    else:
        part.config.save_pretrained(folder)
    (folder / ("diffusion_pytorch_model.safetensors" if ours else "model.safetensors")).write_bytes(NO_TENSORS)
