import type { Bytes } from '../units.ts';
import type { Anatomy } from './anatomy.ts';
import type { PresetSettings } from './settings.ts';

export type DeviceKind = 'cpu' | 'cuda';
export type Phase = 'encode' | 'denoise' | 'decode';

/** The weights of one part of a pipeline, as they are in an engine. */
export interface Weights {
  readonly what: string;
  /** The phase that needs them. */
  readonly phase: Phase;
  readonly bytes: Bytes;
  readonly parameters: number;
  /** Bytes of one number that is not quantised; its activations are of the same kind. */
  readonly width: number;
  readonly detail: string;
  /** How much of them is on the device at once where they come block by block. */
  readonly blockShare: number;
}

export function weightsOf(
  settings: PresetSettings,
  anatomy: Anatomy,
  device: DeviceKind,
  loraBytes: Bytes = 0,
): readonly Weights[] {
  return [
    ...encodersOf(settings, anatomy, device),
    withLoras(denoiserOf(settings, anatomy, device), loraBytes),
    vaeOf(settings, anatomy, device),
  ];
}

/** On the device during a phase. */
export function residentBytes(
  weights: readonly Weights[],
  phase: Phase,
  settings: Pick<PresetSettings, 'offload'>,
  device: DeviceKind,
): Bytes {
  const used = weights.filter((one) => one.phase === phase);
  const stay = weights.filter((one) => one.phase !== 'encode' || phase === 'encode');
  switch (offloadIn(settings, device)) {
    case 'none':
      return total(weights);
    case 'text_encoders':
      return total(stay);
    case 'model': // one part after the other
      return Math.max(...used.map(({ bytes }) => bytes));
    case 'group': // what encodes or denoises comes layer by layer
      return total(weights.filter((one) => one.phase === 'decode')) + (phase === 'decode' ? 0 : blocksAtOnce(used));
    case 'sequential':
      return Math.max(...used.map(({ bytes }) => bytes * LEAF_SHARE));
  }
}

/** What stays in the host's memory beside a card for as long as the engine is loaded. */
export function offloadedBytes(weights: readonly Weights[], settings: Pick<PresetSettings, 'offload'>): Bytes {
  const encoders = total(weights.filter((one) => one.phase === 'encode'));
  switch (settings.offload) {
    case 'none':
      return 0;
    case 'text_encoders':
      return encoders;
    case 'group': // streams copy from page-locked memory, which is a second copy
      return encoders + 2 * total(weights.filter((one) => one.phase === 'denoise'));
    default:
      return total(weights);
  }
}

/** As the worker decides: half precision on a card, and bfloat16 for transformers, which overflow float16. */
export function dtypeOf(settings: Pick<PresetSettings, 'dtype'>, anatomy: Anatomy, device: DeviceKind): Dtype {
  if (settings.dtype !== 'auto') return settings.dtype;
  if (device === 'cpu') return 'float32';
  return anatomy.denoiser.kind === 'transformer' ? 'bfloat16' : 'float16';
}

type Dtype = Exclude<PresetSettings['dtype'], 'auto'>;

/** Bytes of a number. */
export const WIDTHS: Readonly<Record<Dtype, number>> = { float32: 4, float16: 2, bfloat16: 2 };

/** Bytes of a quantised number, its scale included. */
const QUANTISED = { int8_weights: 1, int8_dynamic: 1, fp8_dynamic: 1, fp8_storage: 1, nf4: 0.53 } as const;
/** TAESD, TAESDXL and TAEF1 alike, to within 10 KB. */
const TINY_PARAMETERS = 2_445_063;
/** The largest single layer of a part. */
const LEAF_SHARE = 0.03;
/** Of a UNet, its largest two neighbours among the blocks of its way down, its middle and its way up, as in SDXL. */
const UNET_BLOCK_SHARE = 0.63;
/** The block that works, the next one on its way, and what is in no block. */
const BLOCKS_AT_ONCE = 3;

function encodersOf(settings: PresetSettings, anatomy: Anatomy, device: DeviceKind): readonly Weights[] {
  const dtype = dtypeOf(settings, anatomy, device);
  const largest = Math.max(...anatomy.textEncoders.map(({ parameters }) => parameters));
  return anatomy.textEncoders.map(({ name, parameters, linear, layers }) => {
    const kind = parameters === largest ? settings.quantize_text : 'none';
    // The table of tokens is in no layer, and comes whole.
    const blockShare = (blocksOf(layers) * linear + parameters - linear) / parameters;
    return { what: `weights of ${name}`, phase: 'encode', blockShare, ...inBytes(parameters, linear, dtype, kind) };
  });
}

function denoiserOf(settings: PresetSettings, anatomy: Anatomy, device: DeviceKind): Weights {
  const { parameters, linear, layers, kind } = anatomy.denoiser;
  const plain = inBytes(parameters, linear, dtypeOf(settings, anatomy, device), settings.quantize);
  const engine = settings.compile === 'tensorrt' ? plain.bytes : 0;
  return {
    what: 'weights of the denoiser',
    phase: 'denoise',
    ...plain,
    bytes: plain.bytes + engine,
    detail: `${plain.detail}${engine > 0 ? ', once more in the engine' : ''}`,
    blockShare: kind === 'unet' ? UNET_BLOCK_SHARE : blocksOf(layers),
  };
}

/** They come and go with the weights that they change; what of them is for a text encoder is counted here too. */
function withLoras(denoiser: Weights, loraBytes: Bytes): Weights {
  if (loraBytes === 0) return denoiser;
  const detail = `${denoiser.detail}, and ${Math.ceil(loraBytes / 1e6).toLocaleString('en')} MB of LoRAs`;
  return { ...denoiser, bytes: denoiser.bytes + loraBytes, detail };
}

function vaeOf(settings: PresetSettings, anatomy: Anatomy, device: DeviceKind): Weights {
  const parameters = settings.decoder === 'tiny' ? TINY_PARAMETERS : anatomy.vae.parameters;
  const own = dtypeOf(settings, anatomy, device);
  const safe = anatomy.vae.overflows && own === 'float16' && settings.decoder === 'own' ? 'float32' : own;
  const dtype = settings.vae_dtype === 'auto' ? safe : settings.vae_dtype;
  return { what: 'weights of the VAE', phase: 'decode', blockShare: 1, ...inBytes(parameters, 0, dtype, 'none') };
}

function inBytes(
  parameters: number,
  linear: number,
  dtype: Dtype,
  kind: PresetSettings['quantize'],
): Pick<Weights, 'bytes' | 'parameters' | 'width' | 'detail'> {
  const width = WIDTHS[dtype];
  const all = `${millions(parameters)} parameters`;
  if (kind === 'none') return { bytes: parameters * width, parameters, width, detail: `${all} in ${dtype}` };
  const packed = kind === 'fp8_storage' ? parameters : linear;
  const bytes = packed * QUANTISED[kind] + (parameters - packed) * width;
  const of = packed === parameters ? 'all' : `the ${millions(packed)} of linear layers`;
  return { bytes, parameters, width, detail: `${all}, ${of} in ${kind}, the rest in ${dtype}` };
}

function millions(count: number): string {
  const figure = count / 1e6;
  return `${figure < 10 ? figure.toPrecision(2) : Math.round(figure).toLocaleString('en')} M`;
}

function blocksOf(layers: number): number {
  return Math.min(1, BLOCKS_AT_ONCE / Math.max(1, layers));
}

/** On a CPU, moving a part from the device to the host would move it nowhere. */
export function offloadIn({ offload }: Pick<PresetSettings, 'offload'>, device: DeviceKind): PresetSettings['offload'] {
  return device === 'cpu' && (offload === 'model' || offload === 'sequential') ? 'none' : offload;
}

function blocksAtOnce(weights: readonly Weights[]): Bytes {
  return weights.reduce((sum, { bytes, blockShare }) => sum + bytes * blockShare, 0);
}

function total(weights: readonly Weights[]): Bytes {
  return weights.reduce((sum, { bytes }) => sum + bytes, 0);
}
