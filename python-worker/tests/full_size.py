"""Stable Diffusion 1.5, SDXL and Flux at their full size on the meta device, which has shapes and no memory."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

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


def _vae(latent_channels: int, sample_size: int) -> Callable[[], Part]:
    quant = latent_channels == 4
    return lambda: AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=latent_channels,
        sample_size=sample_size,
        use_quant_conv=quant,
        use_post_quant_conv=quant,
    )


def _clip(factory: Callable[[CLIPTextConfig], Part], width: int, layers: int, heads: int) -> Callable[[], Part]:
    return lambda: factory(
        CLIPTextConfig(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            projection_dim=width,
            vocab_size=49408,
            max_position_embeddings=CLIP_TOKENS,
            bos_token_id=49406,
            eos_token_id=49407,
        )
    )


def _t5() -> Part:
    config = T5Config(
        d_model=4096,
        d_ff=10240,
        num_layers=24,
        num_heads=64,
        d_kv=64,
        vocab_size=32128,
        feed_forward_proj="gated-gelu",
    )
    return T5EncoderModel(config)


_CLIP_L = _clip(CLIPTextModel, 768, 12, 12)

ARCHITECTURES: Mapping[str, Architecture] = {
    "sd": Architecture(
        lambda: UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(320, 640, 1280, 1280),
            layers_per_block=2,
            cross_attention_dim=768,
            attention_head_dim=8,
        ),
        _vae(4, 512),
        (_CLIP_L,),
        _unet_inputs(768, None),
        4,
    ),
    "sdxl": Architecture(
        lambda: UNet2DConditionModel(
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            layers_per_block=2,
            cross_attention_dim=2048,
            attention_head_dim=[5, 10, 20],
            transformer_layers_per_block=[1, 2, 10],
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        _vae(4, 1024),
        (_CLIP_L, _clip(CLIPTextModelWithProjection, 1280, 32, 20)),
        _unet_inputs(2048, 1280),
        4,
    ),
    "flux": Architecture(
        lambda: FluxTransformer2DModel(
            in_channels=64,
            num_layers=19,
            num_single_layers=38,
            attention_head_dim=128,
            num_attention_heads=24,
            joint_attention_dim=4096,
            pooled_projection_dim=768,
            guidance_embeds=True,
            axes_dims_rope=(16, 56, 56),
        ),
        _vae(16, 1024),
        (_CLIP_L, _t5),
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
