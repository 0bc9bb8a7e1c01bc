import { createHash } from 'node:crypto';
import { z } from 'zod';

/** Samplers that every engine must know, by our name; A1111's spellings are read by `sampler.ts`. */
export const SCHEDULERS = [
  'dpmpp_2m',
  'dpmpp_2m_sde',
  'dpmpp_sde',
  'euler',
  'euler_a',
  'heun',
  'unipc',
  'ddim',
  'lcm',
  'pndm',
  'flow_match_euler',
] as const;
export type SchedulerName = (typeof SCHEDULERS)[number];

/** How the noise levels are spaced; `normal` is the spacing that the model itself is configured with. */
export const SCHEDULES = ['normal', 'karras', 'exponential', 'beta', 'sgm_uniform'] as const;
export type ScheduleName = (typeof SCHEDULES)[number];

export const MAX_SEED = Number.MAX_SAFE_INTEGER;

/**
 * Everything that determines one image. After the door nothing is random and nothing is a default.
 * A new field gets a neutral value in {@link NEUTRAL}, so that the keys of older requests stay.
 */
export const requestSchema = z.strictObject({
  /** The name that the user knows the model by; not part of the key. */
  model: z.string().min(1),
  /** Content hash of the model's files, `sha256:<hex>`. */
  modelHash: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  prompt: z.string(),
  negativePrompt: z.string(),
  /** 0 … 2⁵³−1. */
  seed: z.number().int().min(0).max(MAX_SEED),
  /** Pixels. */
  width: z.number().int().positive(),
  /** Pixels. */
  height: z.number().int().positive(),
  steps: z.number().int().positive(),
  /** Classifier-free guidance; 1 means without. */
  guidance: z.number().min(0),
  /** Guidance as an input of a distilled model (Flux dev); null where the model has none. */
  distilledGuidance: z.number().min(0).nullable(),
  scheduler: z.enum(SCHEDULERS),
  schedule: z.enum(SCHEDULES),
  /** The name is what the user knows a LoRA by, and not part of the key. */
  loras: z.array(z.strictObject({ name: z.string(), hash: z.string(), weight: z.number() })),
  /** Content hash of a VAE that replaces the model's own. */
  vae: z.string().nullable(),
  /** Layers left out at the end of the CLIP text encoder. */
  clipSkip: z.number().int().min(0),
  /** Content hash of the picture to start from, and how far to go from it. */
  initImage: z.string().nullable(),
  strength: z.number().min(0).max(1).nullable(),
});
export type Request = z.infer<typeof requestSchema>;

const KEY_VERSION = 1;

/** Frozen: the value that means "feature not used". A field at its neutral value is left out of the key. */
const NEUTRAL: Partial<Request> = {
  negativePrompt: '',
  distilledGuidance: null,
  schedule: 'normal',
  loras: [],
  vae: null,
  clipSkip: 0,
  initImage: null,
  strength: null,
};
const NEUTRAL_TEXTS: ReadonlyMap<string, string> = new Map(
  Object.entries(NEUTRAL).map(([name, value]) => [name, JSON.stringify(value)]),
);

/** Hash of the canonical request, `<version>:<sha256 hex>`. Equal keys mean the same picture. */
export function requestKey(request: Request): string {
  return `${KEY_VERSION}:${sha256(canonical(request, ['model']))}`;
}

/** As {@link requestKey}, without the seed: what a line of a prompt file is known by. */
export function lineKey(request: Omit<Request, 'seed'>): string {
  return `${KEY_VERSION}:${sha256(canonical(request, ['model', 'seed']))}`;
}

function canonical(request: Omit<Request, 'seed'>, leftOut: readonly string[]): string {
  const fields = Object.entries({ ...request, loras: nameless(request.loras) })
    .filter(([name]) => !leftOut.includes(name))
    .map(([name, value]) => [name, stable(value)] as const)
    .filter(([name, value]) => JSON.stringify(value) !== NEUTRAL_TEXTS.get(name))
    .sort(byName);
  return JSON.stringify(fields);
}

/** Requests from before the field have none. */
function nameless(loras: Request['loras'] | undefined): readonly unknown[] {
  return (loras ?? []).map(({ hash, weight }) => ({ hash, weight }));
}

/** The same value with the names inside it in one order, whichever order they were written in. */
function stable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stable);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).map(([name, inner]): [string, unknown] => [name, stable(inner)]);
  return Object.fromEntries(fields.sort(byName));
}

function byName([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? -1 : 1;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
