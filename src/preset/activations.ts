import type { Bytes } from '../units.ts';
import type { Anatomy } from './anatomy.ts';
import type { PresetSettings } from './settings.ts';

/**
 * What of a picture decides how much memory it takes. `guided` means true guidance: two passes of the denoiser a step.
 */
export interface Shape {
  readonly width: number;
  readonly height: number;
  readonly guided: boolean;
}

/** Of the tensors that are alive beside the weights at the worst moment of a denoise step. */
export function denoiseBytes(asked: {
  readonly anatomy: Anatomy;
  readonly shape: Shape;
  readonly batch: number;
  readonly bytes: number;
  readonly attention: PresetSettings['attention'];
}): Bytes {
  const { anatomy, shape, batch, bytes, attention } = asked;
  const { kind, passes } = anatomy.denoiser;
  const rows = batch * (shape.guided && passes === 'together' ? 2 : 1);
  const size = latentSize(anatomy, shape);
  const conditioning = CONDITIONING * batch * (shape.guided ? 2 : 1) * textElements(anatomy) * bytes;
  if (kind === 'unet') return rows * unetElements(anatomy.denoiser, size, attention) * bytes + conditioning;
  return rows * transformerBytes(anatomy, size, attention, bytes) + conditioning;
}

/** The same of encoding the prompts of a batch; negative prompts have a turn of their own. */
export function encodeBytes(encoder: Anatomy['textEncoders'][number], batch: number, bytes: number): Bytes {
  const { tokens, width, layers, biases } = encoder;
  const row = tokens * width * bytes;
  if (biases === 0) return batch * row * (layers + 1 + ENCODER_COPIES);
  // The table is made of whole numbers that it is looked up by, before the first layer.
  return Math.max(
    biases * tokens ** 2 * bytes + batch * row * GATED_COPIES,
    DISTANCE_BYTES * tokens ** 2 + batch * row * EARLY_COPIES,
  );
}

/** Of what the text encoders say of one prompt. */
export function promptBytes(anatomy: Anatomy, bytes: number): Bytes {
  return textElements(anatomy) * bytes;
}

/** Of the tensors that are alive beside the weights while one picture is decoded. */
export function decodeBytes(
  { vae }: Anatomy,
  shape: Pick<Shape, 'width' | 'height'>,
  settings: Pick<PresetSettings, 'vae_tiling' | 'decoder'>,
  bytes: number,
): Bytes {
  const area = shape.width * shape.height;
  if (settings.decoder === 'tiny') return TINY_ELEMENTS * area * bytes;
  const tile = tilePixels(vae.sampleSize);
  if (!settings.vae_tiling || Math.max(shape.width, shape.height) <= tile)
    return decoderElements(vae.channels) * area * bytes;
  const [width, height] = [Math.min(tile, shape.width), Math.min(tile, shape.height)];
  const canvas = 3 * area;
  return Math.max(decoderElements(vae.channels) * width * height + canvas, CANVASES * canvas) * bytes;
}

/** Pixels along a side of a tile, as the worker sets them. */
export function tilePixels(sampleSize: number): number {
  return Math.min(512, sampleSize);
}

/** The embeddings, once as they were encoded, once as they enter the denoiser, and what a layer makes of them. */
const CONDITIONING = 3;
/** Of CLIP's states besides those after each layer, which are all kept. */
const ENCODER_COPIES = 13;
/** Of T5's, at the widest moment of its feed-forward. */
const GATED_COPIES = 16.5;
/** Of its states before the first layer's attention. */
const EARLY_COPIES = 5;
/** Six tables of 64-bit numbers. */
const DISTANCE_BYTES = 48;
/** AutoencoderTiny: three times its 64 channels at full resolution. */
const TINY_ELEMENTS = 192;
/** At the end: tiles that overlap by a quarter, the rows put together from them, and the picture. */
const CANVASES = 4;

/** Of one row, in tensors' elements. The way down is left out: on the way up, the same level holds more. */
function unetElements(
  denoiser: Anatomy['denoiser'],
  { width, height }: { readonly width: number; readonly height: number },
  attention: PresetSettings['attention'],
): number {
  const { channels, layers, heads } = denoiser;
  const areas = channels.map((_, level) => Math.ceil(width / 2 ** level) * Math.ceil(height / 2 ** level));
  const at = (values: readonly number[], level: number): number => values[Math.min(level, values.length - 1)] ?? 0;
  const deepest = channels.length - 1;
  // What the way down leaves for the way up: a level's input, and the outcome of each of its blocks.
  const kept = channels.map((own, level) => (at(channels, Math.max(level - 1, 0)) + layers * own) * at(areas, level));
  const work = (level: number): number =>
    attentionElements(at(channels, level), at(areas, level), at(heads, level), attention);
  const moments = channels.map((own, level) => {
    const input = at(channels, level + 1);
    const residual = 3 * (input + own) * at(areas, level);
    const busy = at(denoiser.attention, level) > 0 ? Math.max(residual, work(level)) : residual;
    return sum(kept.slice(0, level + 1)) + input * at(areas, level) + busy;
  });
  const middle = denoiser.attention.some((depth) => depth > 0) ? work(deepest) : 0;
  return Math.max(...moments, sum(kept) + middle);
}

/** Of a transformer block on a map of channels: its states, and the widest moment of its feed-forward or attention. */
function attentionElements(
  channels: number,
  area: number,
  heads: number,
  attention: PresetSettings['attention'],
): number {
  const forward = (8 + 4 + 4) * channels * area;
  return 5 * channels * area + Math.max(forward, scoreElements(area, heads, attention));
}

/** Tables of scores, where the attention has no kernel that does without. */
function scoreElements(tokens: number, heads: number, attention: PresetSettings['attention']): number {
  if (attention === 'sdpa_math') return 4 * heads * tokens ** 2;
  return attention === 'sliced' ? heads * tokens ** 2 : 0;
}

/** Of one row. A part of it is in float32 whatever the weights are: the positions are turned in it. */
function transformerBytes(
  anatomy: Anatomy,
  { width, height }: { readonly width: number; readonly height: number },
  attention: PresetSettings['attention'],
  bytes: number,
): Bytes {
  const { channels, heads, patch } = anatomy.denoiser;
  const text = Math.max(0, ...anatomy.textEncoders.map((encoder) => encoder.tokens));
  const tokens = Math.ceil(width / patch) * Math.ceil(height / patch) + text;
  const states = tokens * (channels[0] ?? 0) * (TRANSFORMER_STATES * bytes + TRANSFORMER_FLOATS * 4);
  return states + scoreElements(tokens, heads[0] ?? 0, attention) * bytes;
}

/** Fitted to Flux's blocks: the feed-forward's four widths, twice, with queries, keys, values and their neighbours. */
const TRANSFORMER_STATES = 13.1;
const TRANSFORMER_FLOATS = 2.1;

/** Of one pixel. The widest moment is in a level's first block, which takes the channels of the level below. */
function decoderElements(channels: readonly number[]): number {
  const moments = channels.map((own, level) => {
    const input = channels[level + 1] ?? own;
    return Math.max(3 * input, input + 4 * own) / 4 ** level;
  });
  return Math.max(...moments);
}

function textElements({ textEncoders }: Anatomy): number {
  const tokens = Math.max(0, ...textEncoders.map((encoder) => encoder.tokens));
  return tokens * sum(textEncoders.filter((encoder) => encoder.tokens === tokens).map(({ width }) => width));
}

function latentSize({ vae }: Anatomy, { width, height }: Shape): { readonly width: number; readonly height: number } {
  const factor = 2 ** (vae.channels.length - 1);
  return { width: Math.ceil(width / factor), height: Math.ceil(height / factor) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
