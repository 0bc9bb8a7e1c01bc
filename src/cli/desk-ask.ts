import { isAbsolute } from 'node:path';
import { z } from 'zod';
import type { Config, LoadedConfig } from '../config.ts';
import { ConfigError, InputError } from '../errors.ts';
import type { Draft } from '../job/draft.ts';
import { SCHEDULERS, SCHEDULES } from '../job/request.ts';
import type { When } from '../ports.ts';
import { presetsWith, requirePreset } from '../preset/catalogue.ts';
import type { Ask } from '../submission.ts';
import type { RunStarted } from './run-events.ts';

/** What was said where the pictures are asked for. What is left out, the configuration of whoever serves decides. */
export interface RemoteAsk extends Omit<Ask, 'id' | 'defaultModel' | 'defaultOut' | 'when' | keyof SaidSettings> {
  readonly settings: Partial<SaidSettings>;
}

interface SaidSettings extends Pick<Ask, 'pattern' | 'format' | 'sidecar' | 'preset'> {
  readonly model: string;
  readonly when: When;
}

/** The flags whose paths would mean something else on another host. */
export interface PathFlags {
  readonly model?: string;
  readonly out?: string;
}

/** @throws InputError `path_elsewhere` for a path that counts from a folder of this host, with its place */
export function remoteAskOf(ask: Ask, { config, origins }: LoadedConfig, flags: PathFlags): RemoteAsk {
  requireAbsolute(flags.out, 'out', '--out');
  if (isRelative(flags.model)) throw relative('model', '--model');
  for (const { model, place } of ask.drafts) if (isRelative(model)) throw relative('model', place);
  for (const { loras = [], place = '--lora' } of [...ask.drafts, ask.flags])
    if (loras.some(({ name }) => isRelative(name))) throw relative('lora', place);
  const { id, defaultModel, defaultOut, pattern, format, sidecar, preset, when: _, ...said } = ask;
  const settings = { model: config.model, pattern, format, sidecar, preset, when: config.when };
  const explicit = Object.entries(settings).filter(([name]) => origins[name] !== 'default');
  return { ...said, settings: Object.fromEntries(explicit) };
}

/** @throws InputError for a preset that this version does not have */
export function completed({ settings, ...said }: RemoteAsk, id: string, config: Config): Ask {
  const { model, pattern, format, sidecar, preset } = { ...config, ...settings };
  requirePreset(preset, presetsWith(config.presets));
  const { when = null } = settings;
  return { ...said, id, defaultModel: model, defaultOut: config.out, pattern, format, sidecar, preset, when };
}

/** @throws ConfigError `desk_unreadable` */
export function readRemoteAsk(body: unknown): RemoteAsk {
  return readAs(remoteAsk, body);
}

/** @throws ConfigError `desk_unreadable` */
export function readStarted(body: unknown): RunStarted {
  return readAs(started, body);
}

function requireAbsolute(path: string | undefined, what: keyof typeof RELATIVE, place: string): void {
  if (path !== undefined && !isAbsolute(path)) throw relative(what, place);
}

/** As the registry tells a path from a name. */
function isRelative(model: string | undefined): boolean {
  return model !== undefined && /^(~|\.\.?)(\/|$)/.test(model);
}

const RELATIVE = {
  out: 'is a folder of the host that serves, so it must be a whole path; without it, that host decides',
  model:
    'names a folder that counts from here, and the host that serves loads the model; give a name, a hub id, or a whole path there',
  lora: 'names a file that counts from here, and the host that serves loads the LoRA; give a name, or a whole path there',
} as const;

function relative(what: keyof typeof RELATIVE, place: string): InputError {
  return new InputError(RELATIVE[what], { code: 'path_elsewhere', place });
}

const fields = {
  negativePrompt: z.string().exactOptional(),
  seed: z.number().nullable().exactOptional(),
  width: z.number().exactOptional(),
  height: z.number().exactOptional(),
  steps: z.number().exactOptional(),
  guidance: z.number().exactOptional(),
  scheduler: z.enum(SCHEDULERS).exactOptional(),
  schedule: z.enum(SCHEDULES).exactOptional(),
  clipSkip: z.number().exactOptional(),
  model: z.string().exactOptional(),
  loras: z
    .array(z.strictObject({ name: z.string(), weight: z.number() }))
    .readonly()
    .exactOptional(),
  n: z.number().exactOptional(),
  name: z.string().exactOptional(),
  literal: z.boolean().exactOptional(),
} as const satisfies Record<Exclude<keyof Draft, 'prompt' | 'place'>, z.ZodType>;

const remoteAsk = z.strictObject({
  drafts: z.array(z.strictObject({ ...fields, prompt: z.string(), place: z.string() })),
  flags: z.strictObject({ ...fields, prompt: z.string().exactOptional(), place: z.string().exactOptional() }),
  n: z.number(),
  order: z.enum(['breadth', 'depth']),
  name: z.string().nullable(),
  hint: z.string(),
  fresh: z.boolean(),
  retryFailed: z.boolean(),
  remakeMissing: z.boolean(),
  out: z.string().nullable(),
  priority: z.enum(['interactive', 'bulk']),
  tags: z.record(z.string(), z.string()),
  settings: z.strictObject({
    model: z.string().exactOptional(),
    pattern: z.string().exactOptional(),
    format: z.enum(['png', 'jpeg', 'webp']).exactOptional(),
    sidecar: z.enum(['txt', 'json']).nullable().exactOptional(),
    preset: z.string().exactOptional(),
    when: z.enum(['now', 'cheap']).exactOptional(),
  }),
});

const started = z.strictObject({
  event: z.literal('run'),
  run: z.string(),
  name: z.string(),
  resumed: z.boolean(),
  jobs: z.number(),
  to_make: z.number(),
  cached: z.number(),
  failed: z.number(),
  removed: z.number(),
  out_dir: z.string(),
});

function readAs<Type>(schema: z.ZodType<Type>, body: unknown): Type {
  const read = schema.safeParse(body);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const what = [issue?.path.join('.'), issue?.message].filter((part) => part !== '').join(': ');
  const sentence = `another version of kilnwatt speaks from the other host (${what}); use one version on both`;
  throw new ConfigError(sentence, { code: 'desk_unreadable' });
}
