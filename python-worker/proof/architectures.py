"""
The real architectures, without their weights: SD 1.5, SDXL and Flux dev, whose speed and memory depend on shapes only.

Each part is made anew on each call, with the random weights that its class begins with, on torch's default device and
in its default dtype. A number of parameters that is not the published one means that the config is wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from tiny_models.pipelines import SD_NOISE, on_the_host
from tiny_models.vocabulary import clip_tokenizer, t5_tokenizer


@dataclass(frozen=True, slots=True)
class Architecture:
    make: Callable[[], DiffusionPipeline]
    parameters: Mapping[str, float]
    """Millions, by part."""


def refuse_wrong_sizes(pipe: DiffusionPipeline, architecture: Architecture) -> None:
    """Raises ValueError for a part that is not of the published size."""
    for name, millions in architecture.parameters.items():
        found = sum(weight.numel() for weight in getattr(pipe, name).parameters()) / 1e6
        if abs(found - millions) > 0.01:
            raise ValueError(f"the part {name} has {found:.2f} million parameters, and {millions:.2f} are known of it")


def _sd() -> DiffusionPipeline:
    return StableDiffusionPipeline(
        vae=sd_vae(512, 0.18215),
        text_encoder=clip_large(),
        tokenizer=clip_tokenizer(),
        unet=sd_unet(),
        scheduler=on_the_host(lambda: PNDMScheduler(**SD_NOISE, skip_prk_steps=True)),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl() -> DiffusionPipeline:
    return StableDiffusionXLPipeline(
        vae=sd_vae(1024, 0.13025),
        text_encoder=clip_large(),
        text_encoder_2=clip_big(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(pad="!"),
        unet=sdxl_unet(),
        scheduler=on_the_host(lambda: EulerDiscreteScheduler(**SD_NOISE, timestep_spacing="leading")),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def _flux() -> DiffusionPipeline:
    return FluxPipeline(
        vae=flux_vae(),
        text_encoder=clip_large(),
        text_encoder_2=t5(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=t5_tokenizer(),
        transformer=flux_transformer(),
        scheduler=on_the_host(lambda: FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)),
    )


def sd_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2,
        cross_attention_dim=768,
        attention_head_dim=8,
    )


def sdxl_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=2,
        cross_attention_dim=2048,
        attention_head_dim=(5, 10, 20),
        transformer_layers_per_block=(1, 2, 10),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )


def flux_transformer() -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        in_channels=64,
        num_layers=19,
        num_single_layers=38,
        attention_head_dim=128,
        num_attention_heads=24,
        joint_attention_dim=4096,
        pooled_projection_dim=768,
        guidance_embeds=True,
        axes_dims_rope=(16, 56, 56),
    )


def sd_vae(sample_size: int, scaling_factor: float) -> AutoencoderKL:
    return _vae(sample_size, 4, scaling_factor)


def flux_vae() -> AutoencoderKL:
    return _vae(1024, 16, 0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False)


def _vae(sample_size: int, latent_channels: int, scaling_factor: float, **more: object) -> AutoencoderKL:
    return AutoencoderKL(
        sample_size=sample_size,
        latent_channels=latent_channels,
        scaling_factor=scaling_factor,
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        force_upcast=True,
        **more,
    )


def clip_large() -> CLIPTextModel:
    return CLIPTextModel(_clip(768, 3072, 12, 12, "quick_gelu"))


def clip_big() -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(_clip(1280, 5120, 32, 20, "gelu"))


def _clip(width: int, inner: int, layers: int, heads: int, activation: str) -> CLIPTextConfig:
    """The tokenizer's vocabulary is a short one of ours: the ids of its special tokens are what must agree."""
    tokenizer = clip_tokenizer()
    return CLIPTextConfig(
        vocab_size=49_408,
        max_position_embeddings=77,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=width,
        hidden_act=activation,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def t5() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=32_128,
            d_model=4096,
            d_ff=10_240,
            d_kv=64,
            num_layers=24,
            num_heads=64,
            feed_forward_proj="gated-gelu",
        )
    )


ARCHITECTURES: Mapping[str, Architecture] = {
    "sd": Architecture(_sd, {"unet": 859.52, "text_encoder": 123.06, "vae": 83.65}),
    "sdxl": Architecture(_sdxl, {"unet": 2567.46, "text_encoder": 123.06, "text_encoder_2": 694.66, "vae": 83.65}),
    "flux": Architecture(
        _flux, {"transformer": 11_901.41, "text_encoder": 123.06, "text_encoder_2": 4762.31, "vae": 83.82}
    ),
}
