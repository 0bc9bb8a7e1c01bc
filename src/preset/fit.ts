import type { Bytes } from '../units.ts';
import { decodeBytes, denoiseBytes, encodeBytes, promptBytes, type Shape } from './activations.ts';
import type { Anatomy } from './anatomy.ts';
import type { Footprint, Part } from './explanation.ts';
import type { PresetSettings } from './settings.ts';
import {
  type DeviceKind,
  dtypeOf,
  offloadedBytes,
  type Phase,
  residentBytes,
  type Weights,
  WIDTHS,
  weightsOf,
} from './weights.ts';

export interface Load {
  readonly settings: PresetSettings;
  readonly anatomy: Anatomy;
  readonly shape: Shape;
  /** Pictures in a batch. */
  readonly batch: number;
  readonly device: DeviceKind;
  /** Of the files of LoRAs. */
  readonly loraBytes?: Bytes;
}

/**
 * The fit test: what an engine would take with batches of a shape and size, from the model's anatomy alone. The phases
 * of a batch come one after the other; the peak is that of the worst, with what is resident then.
 */
export function footprintOf(load: Load): Footprint {
  const weights = weightsOf(load.settings, load.anatomy, load.device, load.loraBytes);
  const activations = activationsOf(load, weights);
  const phases = PHASES.map((phase) => phaseOf(phase, activations, weights, load));
  const loading = loadingOf(load, weights);
  const prompts = promptsOf(load, weights);
  const peak = Math.max(...phases.map(({ bytes }) => bytes));
  const parts = [
    ...weights.map(({ what, bytes, detail }) => computed(what, bytes, detail)),
    ...PHASES.map((phase) => computed(ACTIVITIES[phase], activations[phase].bytes, activations[phase].detail)),
    ...phases,
    loading,
    ...(prompts.bytes > 0 ? [prompts] : []),
  ];
  if (load.device === 'cpu') {
    const bytes = Math.ceil(Math.max(peak, loading.bytes));
    return { deviceBytes: bytes, hostBytes: bytes + prompts.bytes, ground: 'computed', parts };
  }
  const kept = computed(
    'kept in the host’s memory',
    offloadedBytes(weights, load.settings),
    `offload=${load.settings.offload}`,
  );
  const hostBytes = WORKER_BYTES + Math.max(isMapped(load) ? 0 : loading.bytes, kept.bytes + prompts.bytes);
  return {
    deviceBytes: Math.ceil(peak),
    hostBytes: Math.ceil(hostBytes),
    ground: 'computed',
    parts: [...parts, kept, WORKER],
  };
}

/**
 * What is left alone of a device's memory: on a card for the driver's context, for other programs that come and go, and
 * for what the allocator cannot join; on a CPU for the worker's own libraries and the rest of the system. Assumed.
 */
export function reserveOf(deviceTotal: Bytes, device: DeviceKind = 'cuda'): Bytes {
  return Math.ceil((device === 'cuda' ? CONTEXT_BYTES : LIBRARY_BYTES) + RESERVED_SHARE * deviceTotal);
}

const PHASES = ['encode', 'denoise', 'decode'] as const satisfies readonly Phase[];
const ACTIVITIES: Readonly<Record<Phase, string>> = {
  encode: 'activations of encoding',
  denoise: 'activations of a denoise step',
  decode: 'activations of decoding',
};

const MEGABYTE = 1e6;
const CONTEXT_BYTES: Bytes = 300 * MEGABYTE;
const LIBRARY_BYTES: Bytes = 700 * MEGABYTE;
const RESERVED_SHARE = 0.03;
/** The worker drops the oldest of the prompts that it keeps beyond this. */
const MOST_PROMPT_BYTES: Bytes = 1100 * MEGABYTE;
/** Python with torch and CUDA's libraries, as far as they are the process's own. */
const WORKER_BYTES: Bytes = 1500 * MEGABYTE;
const WORKER: Part = {
  what: 'the worker itself',
  bytes: WORKER_BYTES,
  ground: 'assumed',
  detail: 'of the host: Python, torch and CUDA’s libraries',
};

/**
 * Of the activations, on a card: what convolutions work in, and what torch's allocator leaves between its blocks. SDXL
 * was published with 10.47 GiB on a card of 24 GB, where its weights and its decoding, by the storages that are alive,
 * are 10.3 GB; that is 1.28 times the decoding's. cuDNN makes do with less where there is less: the same decoding was
 * published for cards of 8 GB.
 */
const WORKSPACE: Readonly<Record<Phase, number>> = { encode: 0.1, denoise: 0.1, decode: 0.3 };

/** Pixels that the worker decodes at once: small pictures of a batch together, unless the preset slices. */
const TOGETHER = 512 ** 2;

type Activations = Readonly<Record<Phase, { readonly bytes: Bytes; readonly detail: string }>>;

function activationsOf({ settings, anatomy, shape, batch }: Load, weights: readonly Weights[]): Activations {
  const rows = paddedTo(settings.buckets, batch);
  const widthIn = (phase: Phase): number => weights.find((one) => one.phase === phase)?.width ?? 4;
  const size = `${shape.width}x${shape.height}${shape.guided ? ' with guidance' : ''}`;
  const pictures = `${rows === 1 ? 'a picture' : `${rows} pictures`} of ${size}`;
  const tiled = settings.vae_tiling ? ', tile by tile' : '';
  const bytes = widthIn('denoise');
  const together = settings.vae_slicing
    ? 1
    : Math.min(batch, Math.max(1, Math.floor(TOGETHER / (shape.width * shape.height))));
  const encoders = anatomy.textEncoders.map((encoder) => encodeBytes(encoder, rows, widthIn('encode')));
  return {
    encode: { bytes: Math.max(0, ...encoders), detail: `${rows === 1 ? 'a prompt' : `${rows} prompts`}` },
    denoise: {
      bytes: denoiseBytes({ anatomy, shape, batch: rows, bytes, attention: settings.attention }),
      detail: `${pictures}, ${settings.attention}`,
    },
    decode: {
      bytes: together * decodeBytes(anatomy, shape, settings, widthIn('decode')),
      detail: `${together === 1 ? 'one' : `${together} together`} of ${size}${tiled}`,
    },
  };
}

function phaseOf(phase: Phase, activations: Activations, weights: readonly Weights[], load: Load): Part {
  const { settings, device } = load;
  const resident = residentBytes(weights, phase, settings, device);
  const own = activations[phase].bytes;
  const graphs = phase !== 'denoise' && holdsGraphs(settings, device) ? activations.denoise.bytes : 0;
  const workspace = device === 'cuda' ? WORKSPACE[phase] * own : 0;
  const terms = [`weights ${megabytes(resident)}`, `activations ${megabytes(own)}`];
  if (graphs > 0) terms.push(`the step's graphs ${megabytes(graphs)}`);
  if (workspace > 0) terms.push(`workspace ${megabytes(workspace)}, assumed`);
  return computed(`in all while ${VERBS[phase]}`, resident + own + graphs + workspace, terms.join(', '));
}

const VERBS: Readonly<Record<Phase, string>> = { encode: 'encoding', denoise: 'denoising', decode: 'decoding' };

/** CUDA graphs never give back the memory that they were recorded with. */
function holdsGraphs({ compile, compile_mode: mode }: PresetSettings, device: DeviceKind): boolean {
  return device === 'cuda' && compile === 'full' && (mode === 'reduce-overhead' || mode === 'max-autotune');
}

/**
 * All parts are read into the host's memory, and quantised and moved only then. Where the dtype changes, a part is there
 * as it is in its file too, while it is read. diffusers reads them in the order of a set, which is another in each
 * process; so the largest is taken for the last.
 */
function loadingOf({ settings, anatomy, device }: Load, weights: readonly Weights[]): Part {
  const dtype = dtypeOf(settings, anatomy, device);
  const counts = weights.map(({ parameters }) => parameters);
  const twice = dtype === anatomy.fileDtype ? 0 : Math.max(...counts) * (anatomy.fileBytes / sum(counts));
  const detail = `all weights in ${dtype}${twice === 0 ? '' : `, and one part as ${anatomy.fileDtype} too`}`;
  return computed('in all while loading', sum(counts) * WIDTHS[dtype] + twice, detail);
}

/** Weights that are used as they are in their file are pages of the file, which the host can drop and read again. */
function isMapped({ settings, anatomy, device }: Load): boolean {
  return dtypeOf(settings, anatomy, device) === anatomy.fileDtype;
}

/** Once there are as many as the preset keeps; a batch alone has few of them, so that the device's peak is without. */
function promptsOf({ settings, anatomy }: Load, weights: readonly Weights[]): Part {
  const width = weights.find(({ phase }) => phase === 'encode')?.width ?? 4;
  const bytes = Math.min(MOST_PROMPT_BYTES, settings.prompt_cache * promptBytes(anatomy, width));
  return computed('prompts that are kept', bytes, `in the host’s memory, up to ${settings.prompt_cache} of them`);
}

function paddedTo(buckets: readonly number[], batch: number): number {
  const sizes = buckets.filter((size) => size >= batch);
  return sizes.length === 0 ? batch : Math.min(...sizes);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function computed(what: string, bytes: number, detail: string): Part {
  return { what, bytes: Math.ceil(bytes), ground: 'computed', detail };
}

function megabytes(bytes: Bytes): string {
  const figure = bytes / MEGABYTE;
  return `${figure < 10 ? figure.toPrecision(2) : Math.round(figure).toLocaleString('en')} MB`;
}
