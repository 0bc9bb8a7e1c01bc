import { InputError } from '../errors.ts';

/** Settings that a model is loaded with. */
export interface Preset {
  readonly name: string;
  /** `auto` is what the device is best at, decided by the worker and told in its answer. */
  readonly dtype: 'auto' | 'float32' | 'float16';
  /** `auto` is that of the denoiser, but for a VAE that is known to overflow in it. */
  readonly vaeDtype: 'auto' | 'float32';
  readonly attention: 'sdpa';
  readonly vaeSlicing: boolean;
  readonly vaeTiling: boolean;
  readonly offload: 'none' | 'model';
  /** How many pictures one batch may hold. */
  readonly batchLimit: number;
  /** Names of the presets that are tried, in this order, for pictures that do not fit into memory with this one. */
  readonly below: readonly string[];
}

const PLAIN = {
  vaeDtype: 'auto',
  attention: 'sdpa',
  vaeSlicing: false,
  vaeTiling: false,
  offload: 'none',
  batchLimit: 4,
  below: ['low-vram'],
} as const satisfies Partial<Preset>;

export const PRESETS: readonly Preset[] = [
  { ...PLAIN, name: 'auto', dtype: 'auto' },
  { ...PLAIN, name: 'fp32', dtype: 'float32' },
  { ...PLAIN, name: 'fp16', dtype: 'float16' },
  {
    name: 'low-vram',
    dtype: 'auto',
    vaeDtype: 'auto',
    attention: 'sdpa',
    vaeSlicing: true,
    vaeTiling: true,
    offload: 'model',
    batchLimit: 1,
    below: [],
  },
];

/** @throws InputError `preset_unknown`, with the names that there are */
export function presetNamed(name: string): Preset {
  const preset = PRESETS.find((candidate) => candidate.name === name);
  if (preset !== undefined) return preset;
  const names = PRESETS.map((candidate) => candidate.name).join(', ');
  throw new InputError(`there is no preset ${name}; use one of ${names}`, { code: 'preset_unknown' });
}

/** The same with what cannot overflow: slower, and with more memory, for pictures that were black without. */
export function safely(preset: Preset): Preset {
  return { ...preset, name: `${preset.name}+safe`, vaeDtype: 'float32', attention: 'sdpa' };
}
