"""The networks of small pipelines: real classes, few channels, seeded random weights."""

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, FluxTransformer2DModel, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

VAE_FACTOR = 8


def vae(latent_channels: int, sample_size: int, channels: tuple[int, ...], packed: bool = False) -> AutoencoderKL:
    """Eight pixels to one latent, as in the real ones. Made vivid, because untrained it would decode to grey."""
    model = AutoencoderKL(
        latent_channels=latent_channels,
        sample_size=sample_size,
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=1,
        norm_num_groups=4,
        use_quant_conv=not packed,
        use_post_quant_conv=not packed,
        scaling_factor=0.3611 if packed else 0.18215,
        shift_factor=0.1159 if packed else None,
        force_upcast=not packed,
    )
    with torch.no_grad():
        model.decoder.conv_out.weight.mul_(3.0)
    return model


def tiny_vae(latent_channels: int) -> AutoencoderTiny:
    """What decodes previews, with the factor of `vae`."""
    return AutoencoderTiny(
        latent_channels=latent_channels,
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )


def unet(
    sample_size: int, channels: tuple[int, ...], text_width: int, pooled_width: int | None
) -> UNet2DConditionModel:
    """`pooled_width` makes it one of SDXL's kind, with size and pooled text as further inputs."""
    levels = len(channels)
    xl = {} if pooled_width is None else _xl_inputs(levels, pooled_width)
    return UNet2DConditionModel(
        sample_size=sample_size,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * (levels - 1)),
        up_block_types=(*("CrossAttnUpBlock2D",) * (levels - 1), "UpBlock2D"),
        cross_attention_dim=text_width,
        norm_num_groups=8,
        attention_head_dim=8,
        **xl,
    )


def flux_transformer(text_width: int, pooled_width: int) -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=text_width,
        pooled_projection_dim=pooled_width,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
    )


def clip(tokenizer: CLIPTokenizer, width: int) -> CLIPTextModel:
    return CLIPTextModel(_clip_config(tokenizer, width, "quick_gelu"))


def clip_with_projection(tokenizer: CLIPTokenizer, width: int) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(_clip_config(tokenizer, width, "gelu"))


def t5(tokenizer: T5Tokenizer, width: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=16,
        d_ff=2 * width,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    return T5EncoderModel(config)


def _xl_inputs(levels: int, pooled_width: int) -> dict[str, object]:
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + pooled_width,
        "transformer_layers_per_block": tuple(range(1, levels + 1)),
        "use_linear_projection": True,
    }


def _clip_config(tokenizer: CLIPTokenizer, width: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=4,
        projection_dim=width,
        hidden_act=activation,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
