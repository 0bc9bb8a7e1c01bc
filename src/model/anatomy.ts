import { z } from 'zod';
import type { Model } from '../ports.ts';
import { type Anatomy, anatomySchema } from '../preset/anatomy.ts';
import type { Contents } from './safetensors.ts';
import type { Component } from './weights.ts';

/** A component with weights: what its config says, and what is in its files. */
export interface Described extends Component {
  readonly config: unknown;
  readonly contents: Contents;
}

/** Null where the configs do not say enough: parts that are not known here, or figures that are left out. */
export function anatomyOf(family: Model['family'], pipeline: string, parts: readonly Described[]): Anatomy | null {
  const denoiser = denoiserOf(family, parts);
  const vae = vaeOf(
    pipeline,
    parts.find(({ name }) => name === 'vae'),
  );
  const encoders = parts.filter(({ name }) => /^text_encoder(_\d+)?$/.test(name));
  const textEncoders = encoders.map((part) => encoderOf(family, part, parts));
  if (denoiser === null || vae === null || textEncoders.includes(null)) return null;
  const fileBytes = parts.reduce((sum, { contents }) => sum + contents.bytes, 0);
  const fileDtype = parts.find(({ name }) => name === 'unet' || name === 'transformer')?.contents.dtype;
  const found = anatomySchema.safeParse({ denoiser, textEncoders, vae, fileBytes, fileDtype });
  return found.success ? found.data : null;
}

const whole = z.number().int().positive();
const wholes = z.array(whole).min(1);

/** Defaults are those of diffusers' classes. */
const unetSchema = z.object({
  block_out_channels: wholes.default([320, 640, 1280, 1280]),
  layers_per_block: z.union([whole, wholes]).default(2),
  down_block_types: z
    .array(z.string())
    .default(['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D']),
  transformer_layers_per_block: z.union([whole, z.array(z.union([whole, wholes]))]).default(1),
  attention_head_dim: z.union([whole, wholes]).default(8),
  num_attention_heads: z.union([whole, wholes]).nullish(),
});

const transformerSchema = z.object({
  num_attention_heads: whole,
  attention_head_dim: whole,
  num_layers: whole,
  num_single_layers: z.number().int().min(0).default(0),
  patch_size: whole.default(1),
  guidance_embeds: z.boolean().nullish(),
});

const vaeSchema = z.object({
  block_out_channels: wholes,
  layers_per_block: whole.default(1),
  latent_channels: whole.default(4),
  sample_size: whole.default(32),
  force_upcast: z.boolean().nullish(),
});

/** The first of each pair is CLIP's name and most others'; where both are left out, CLIP's defaults hold. */
const encoderSchema = z.object({
  hidden_size: whole.nullish(),
  d_model: whole.nullish(),
  num_hidden_layers: whole.nullish(),
  num_layers: whole.nullish(),
  num_heads: whole.nullish(),
  max_position_embeddings: whole.nullish(),
});

/** Of T5, in Flux with and without guidance as an input, and elsewhere. */
const T5_TOKENS = { guided: 512, distilled: 256 };
/** Pipelines whose VAE overflows float16 unless its config denies it; others never look at that line of the config. */
const OVERFLOWING = /StableDiffusionXL|Kolors/;

function denoiserOf(family: Model['family'], parts: readonly Described[]): Anatomy['denoiser'] | null {
  const unet = parts.find(({ name, className }) => name === 'unet' && className === 'UNet2DConditionModel');
  if (unet !== undefined) return unetOf(unet);
  const transformer = parts.find(({ name }) => name === 'transformer');
  const config = transformerSchema.safeParse(transformer?.config);
  if (transformer === undefined || !config.success) return null;
  const { num_attention_heads: heads, attention_head_dim: headChannels, patch_size: patch } = config.data;
  return {
    kind: 'transformer',
    ...counts(transformer),
    channels: [heads * headChannels],
    layers: config.data.num_layers + config.data.num_single_layers,
    attention: [],
    heads: [heads],
    headChannels,
    patch: family === 'flux' ? patch * 2 : patch, // its pipeline packs the latents two by two
    passes: family === 'flux' ? 'apart' : 'together',
  };
}

function unetOf(part: Described): Anatomy['denoiser'] | null {
  const config = unetSchema.safeParse(part.config);
  if (!config.success) return null;
  const { block_out_channels: channels, down_block_types: types, layers_per_block: layers } = config.data;
  // diffusers took the number of heads for their width once, and keeps to it.
  const heads = byLevel(config.data.num_attention_heads ?? config.data.attention_head_dim, channels);
  const depths = byLevel(config.data.transformer_layers_per_block, channels);
  const widths = new Set(channels.map((width, level) => width / (heads[level] ?? 1)));
  const [headChannels = 0] = widths;
  return {
    kind: 'unet',
    ...counts(part),
    channels,
    layers: typeof layers === 'number' ? layers : Math.max(...layers),
    attention: channels.map((_, level) => (types[level]?.includes('CrossAttn') ? (depths[level] ?? 1) : 0)),
    heads,
    headChannels: widths.size === 1 && Number.isInteger(headChannels) ? headChannels : null,
    patch: 1,
    passes: 'together',
  };
}

function byLevel(values: number | readonly (number | readonly number[])[], levels: readonly unknown[]): number[] {
  return levels.map((_, level) => {
    const value = typeof values === 'number' ? values : values[level];
    return typeof value === 'object' ? Math.max(...value) : (value ?? 1);
  });
}

function encoderOf(
  family: Model['family'],
  part: Described,
  parts: readonly Described[],
): Anatomy['textEncoders'][number] | null {
  const found = encoderSchema.safeParse(part.config);
  if (!found.success) return null;
  const config = found.data;
  const isClip = part.className.startsWith('CLIP');
  const isT5 = part.className.includes('T5');
  const width = config.hidden_size ?? config.d_model ?? (isClip ? 512 : null);
  const layers = config.num_hidden_layers ?? config.num_layers ?? (isClip ? 12 : null);
  if (width === null || layers === null) return null;
  const tokens = isClip ? (config.max_position_embeddings ?? 77) : longTokens(family, parts);
  return { name: part.name, ...counts(part), width, layers, tokens, biases: isT5 ? (config.num_heads ?? 8) : 0 };
}

function longTokens(family: Model['family'], parts: readonly Described[]): number {
  const config = transformerSchema.safeParse(parts.find(({ name }) => name === 'transformer')?.config);
  if (family !== 'flux') return T5_TOKENS.guided; // the most that any asks for
  return config.success && config.data.guidance_embeds === true ? T5_TOKENS.guided : T5_TOKENS.distilled;
}

function vaeOf(pipeline: string, part: Described | undefined): Anatomy['vae'] | null {
  const config = vaeSchema.safeParse(part?.config);
  if (part?.className !== 'AutoencoderKL' || !config.success) return null;
  const { block_out_channels: channels, force_upcast: upcast, ...rest } = config.data;
  return {
    parameters: part.contents.parameters,
    channels,
    layers: rest.layers_per_block,
    latentChannels: rest.latent_channels,
    sampleSize: rest.sample_size,
    overflows: OVERFLOWING.test(pipeline) && upcast !== false,
  };
}

function counts({ contents }: Described): { readonly parameters: number; readonly linear: number } {
  return { parameters: contents.parameters, linear: contents.linear };
}
