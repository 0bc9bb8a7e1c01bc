"""Stable Diffusion 1.5, SDXL and Flux at their full size on the meta device, which has shapes and no memory."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from transformers import T5EncoderModel

from proof import architectures
from tests.live_storages import LiveStorages

Part: TypeAlias = Any
"""A module; diffusers has no types."""
CLIP_TOKENS = 77
T5_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Peaks:
    """Bytes beside the part's weights: of a denoise step, of decoding one picture, whole and by tiles, of encoding."""

    denoise: int
    decode: int
    decode_tiled: int
    encode: int


@dataclass(frozen=True, slots=True)
class Architecture:
    denoiser: Callable[[], Part]
    vae: Callable[[], Part]
    encoders: tuple[Callable[[], Part], ...]
    inputs: Callable[[int, int, int], dict[str, object]]
    """Of the denoiser, by rows, width and height of the latents."""
    latent_channels: int


def peaks_of(architecture: Architecture, dtype: torch.dtype, size: tuple[int, int], rows: int) -> Peaks:
    """`rows` go through the denoiser and the encoders at once; `size` is of the picture, in pixels."""
    width, height = size[0] // 8, size[1] // 8
    with _of_dtype(dtype), _flash_attention(), torch.no_grad():
        latents = torch.empty(1, architecture.latent_channels, height, width)
        return Peaks(
            denoise=_beside_weights(
                architecture.denoiser(), lambda part: part(**architecture.inputs(rows, width, height))
            ),
            decode=_beside_weights(architecture.vae(), lambda part: part.decode(latents, return_dict=False)),
            decode_tiled=_beside_weights(_tiled(architecture.vae()), lambda part: part.decode(latents)),
            encode=max(_beside_weights(make(), lambda part: _encode(part, rows)) for make in architecture.encoders),
        )


def parameters_of(make: Callable[[], Part]) -> int:
    with torch.device("meta"):
        return sum(int(tensor.numel()) for tensor in make().parameters())


def _unet_inputs(text_width: int, pooled_width: int | None) -> Callable[[int, int, int], dict[str, object]]:
    def inputs(rows: int, width: int, height: int) -> dict[str, object]:
        added = {} if pooled_width is None else {"text_embeds": torch.empty(rows, pooled_width)}
        if added:
            added["time_ids"] = torch.empty(rows, 6)
        return {
            "sample": torch.empty(rows, 4, height, width),
            "timestep": torch.empty(rows),
            "encoder_hidden_states": torch.empty(rows, CLIP_TOKENS, text_width),
            "added_cond_kwargs": added,
        }

    return inputs


def _flux_inputs(rows: int, width: int, height: int) -> dict[str, object]:
    tokens = width * height // 4
    return {
        "hidden_states": torch.empty(rows, tokens, 64),
        "timestep": torch.empty(rows),
        "guidance": torch.empty(rows),
        "pooled_projections": torch.empty(rows, 768),
        "encoder_hidden_states": torch.empty(rows, T5_TOKENS, 4096),
        "txt_ids": torch.empty(T5_TOKENS, 3),
        "img_ids": torch.empty(tokens, 3),
    }


ARCHITECTURES: Mapping[str, Architecture] = {
    "sd": Architecture(
        architectures.sd_unet,
        lambda: architectures.sd_vae(512, 0.18215),
        (architectures.clip_large,),
        _unet_inputs(768, None),
        4,
    ),
    "sdxl": Architecture(
        architectures.sdxl_unet,
        lambda: architectures.sd_vae(1024, 0.13025),
        (architectures.clip_large, architectures.clip_big),
        _unet_inputs(2048, 1280),
        4,
    ),
    "flux": Architecture(
        architectures.flux_transformer,
        architectures.flux_vae,
        (architectures.clip_large, architectures.t5),
        _flux_inputs,
        16,
    ),
}


@contextmanager
def _of_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _flash_attention() -> Iterator[None]:
    """As its kernels on a card: an output in the layout of the projections, and no table of scores."""

    def stand_in(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **_: object) -> torch.Tensor:
        del key
        rows, heads, tokens, _width = query.shape
        return query.new_empty(rows, tokens, heads, value.shape[-1]).transpose(1, 2)

    functional: Any = torch.nn.functional
    before = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = stand_in
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = before


def _beside_weights(part: Part, run: Callable[[Part], object]) -> int:
    count = LiveStorages("meta")
    with count:
        count.adopt((*part.parameters(), *part.buffers()))
        weights = count.take_peak()
        run(part)
        return count.peak - weights


def _tiled(vae: Part) -> Part:
    """As the worker sets it."""
    vae.enable_tiling()
    vae.tile_sample_min_size, vae.tile_latent_min_size = 512, 64
    return vae


def _encode(encoder: Part, rows: int) -> object:
    """As the pipelines call them: the layer before CLIP's last is wanted, and of T5 the last alone."""
    if isinstance(encoder, T5EncoderModel):
        return encoder(torch.zeros(rows, T5_TOKENS, dtype=torch.int64), output_hidden_states=False)
    return encoder(torch.zeros(rows, CLIP_TOKENS, dtype=torch.int64), output_hidden_states=True)
