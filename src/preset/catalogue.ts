import { z } from 'zod';
import { InputError } from '../errors.ts';
import { suggestion } from '../job/nearest.ts';
import catalogue from './catalogue.json' with { type: 'json' };
import { type PresetSettings, presetSettingsSchema } from './settings.ts';

/** A named set of load-time settings, and what it is for. */
export interface Preset {
  readonly name: string;
  readonly settings: PresetSettings;
  /** How many pictures one batch may hold. */
  readonly batchLimit: number;
  /** Names of the presets that are tried, in this order, for pictures that do not fit into memory with this one. */
  readonly below: readonly string[];
  /** Why anybody would choose it: one sentence without a full stop. */
  readonly reason: string;
  /** What the figures in the reason rest on; null where it has none. */
  readonly source: string | null;
  /** Families of models that it is made for; empty: any. */
  readonly families: readonly ('sd' | 'sdxl' | 'flux' | 'other')[];
  readonly device: 'cpu' | 'cuda' | 'any';
  /** The class of card that it is made for, in GB of its memory; null: any. */
  readonly memoryGb: number | null;
  /** Whether `auto` may choose it: never, only where a measurement says that it is fast, or also by the fit test. */
  readonly auto: 'never' | 'measured' | 'fit';
  /**
   * Pictures a second as a multiple of the plain resident model's; a guess that the first measurement replaces. What
   * is given up for memory costs in the order that it is given up: text encoders that leave 5 % (they come back for
   * new prompts), a tiled decode 5 %, weights kept in fp8 8 %, NF4 30 %, streamed weights 70 %, and parts that are fetched for
   * each batch about as much, but for Flux, whose steps are long: 25 %. What is compiled or
   * left out gains what was published for the nearest card, which `source` names.
   */
  readonly speed: number;
}

/** As it stands in the catalogue and, without its name, in the configuration. */
export const presetSchema = z
  .strictObject({
    settings: presetSettingsSchema.prefault({}),
    batch_limit: z.int().positive().max(64).default(4),
    below: z.array(z.string()).readonly().default([]),
    reason: z.string().default(''),
    source: z.string().nullable().default(null),
    families: z
      .array(z.enum(['sd', 'sdxl', 'flux', 'other']))
      .readonly()
      .default([]),
    device: z.enum(['cpu', 'cuda', 'any']).default('any'),
    memory_gb: z.number().positive().nullable().default(null),
    auto: z.enum(['never', 'measured', 'fit']).default('never'),
    speed: z.number().positive().default(1),
  })
  .transform(({ batch_limit: batchLimit, memory_gb: memoryGb, ...rest }) => ({ ...rest, batchLimit, memoryGb }));

/** The name under which a device chooses among the presets, job by job. */
export const AUTO = 'auto';

/** Those that come with kilnwatt. */
export const PRESETS: readonly Preset[] = catalogue.map(({ name, ...rest }) => ({ name, ...presetSchema.parse(rest) }));

/** The catalogue, and those of the user's configuration. */
export function presetsWith(own: readonly Preset[]): readonly Preset[] {
  return [...PRESETS, ...own];
}

/** @throws InputError `preset_unknown`, with the name that was most likely meant; `auto` is none of them */
export function presetNamed(name: string, presets: readonly Preset[] = PRESETS): Preset {
  const preset = presets.find((candidate) => candidate.name === name);
  if (preset !== undefined) return preset;
  const meant = suggestion(name, [AUTO, ...presets.map((candidate) => candidate.name)]);
  const sentence = `there is no preset ${name} among those that "kilnwatt presets ls --all" lists${meant}`;
  throw new InputError(sentence, { code: 'preset_unknown' });
}

/** @throws InputError `preset_unknown` for what nobody can be asked for */
export function requirePreset(name: string, presets: readonly Preset[] = PRESETS): void {
  if (name !== AUTO) presetNamed(name, presets);
}

/** What overflows, or goes on from what has: sums in float16, steps that use what earlier ones gave, small decoders. */
const SAFE = {
  vae_dtype: 'float32',
  attention: 'sdpa',
  fp16_accumulation: false,
  step_cache: 'none',
  step_cache_strength: 0,
  decoder: 'own',
} as const satisfies Partial<PresetSettings>;

/** The same with what cannot overflow: slower, and with more memory, for pictures that were black without. */
export function safely(preset: Preset): Preset {
  return { ...preset, name: `${preset.name}+safe`, settings: { ...preset.settings, ...SAFE } };
}
