import { z } from 'zod';
import { complaining } from './config-complaint.ts';
import { devicesFault } from './config-devices.ts';
import { type Fault, innerFault, reasonOf } from './config-fault.ts';
import { redisUrlFault } from './config-redis-url.ts';
import { carbonSettings, energySettings, reportSettings, tariffSettings, whenSetting } from './config-schema-costs.ts';
import { hoursSetting, notifySettings } from './config-schema-night.ts';
import { limitSettings, workerSettings } from './config-schema-worker.ts';
import { isSecret } from './config-secret.ts';
import { patternFault } from './job/naming.ts';
import { nearest } from './job/nearest.ts';
import { ownPresetSchema, ownPresetsFault } from './preset/own.ts';

const redisUrl = z.string().superRefine(complaining(redisUrlFault));
const devices = z.string().superRefine(complaining(devicesFault));
const pattern = z.string().min(1).superRefine(complaining(patternFault));

/** The model that comes with kilnwatt; see its card in `python-worker/models`. */
export const MODEL_IN_THE_BOX = 'kiln-shapes';

/**
 * Every setting, as it stands in `kilnwatt.yaml`. `null` means "not set": what is used then is said in
 * the description. A group is a strict object that may be left out.
 */
export const configSchema = z.strictObject({
  model: z
    .string()
    .min(1)
    .default(MODEL_IN_THE_BOX)
    .describe(
      'Model when none is asked for: a name in models_dir or of a model that comes with kilnwatt, a folder, or a hub id',
    ),
  preset: z
    .string()
    .min(1)
    .default('auto')
    .describe('How models are loaded: the name of a preset; auto: what fits the device and is fastest there'),
  presets: z
    .record(z.string(), ownPresetSchema)
    .nullable()
    .default(null)
    .describe(
      'Presets of your own, by name: { like: sdxl-12gb, settings: { attention: sliced }, batch_limit: 2 }; not set: none',
    ),
  devices: devices
    .default('auto')
    .describe('auto (all NVIDIA cards, else the CPU), cpu, cpu:2 (two workers), or cards: 0,1 or cuda:0 or UUIDs'),
  data_dir: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe('Database, own Valkey and models; not set: $XDG_DATA_HOME/kilnwatt or ~/.local/share/kilnwatt'),
  models_dir: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe('Folder of pipeline folders; not set: models in data_dir'),
  runtime_dir: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe(
      'Sockets, on a local file system; not set: $XDG_RUNTIME_DIR/kilnwatt or a folder of this user in the temporary folder',
    ),
  redis_url: redisUrl
    .nullable()
    .default(null)
    .describe('A Redis or Valkey to use; not set: kilnwatt runs a Valkey of its own in data_dir'),
  redis_binary: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe('Server program for the own Valkey; not set: the one that the set-up installed'),
  queue: z
    .string()
    .regex(/^[\w.-]+$/, 'expected letters, digits, ".", "_" and "-"')
    .nullable()
    .default(null)
    .describe('Name of the queue; not set: kilnwatt, with a redis_url followed by a hash of host name and data_dir'),
  out: z.string().min(1).default('./outputs').describe('Folder of the pictures'),
  pattern: pattern
    .default('{run}/{index:05}-{seed}')
    .describe(
      'Name of a picture in out, without extension: {run} {index:05} {seed} {id} {date} {prompt:40} {model} {name}',
    ),
  format: z.enum(['png', 'jpeg', 'webp']).default('png').describe('Format of the pictures'),
  sidecar: z.enum(['txt', 'json']).nullable().default(null).describe('A text file beside each picture; not set: none'),
  metadata: z
    .strictObject({
      prompt: z.boolean().default(true).describe('Put prompt and settings into the pictures'),
      cost: z.boolean().default(true).describe('Put the cost into the text part of the pictures'),
    })
    .prefault({})
    .describe('What pictures say of themselves; job id and receipt are always in them'),
  python: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe('Interpreter of the worker; not set: the one of the checkout (.venv/bin/python), else python3'),
  batch_limit: z
    .int()
    .positive()
    .nullable()
    .default(null)
    .describe('Most jobs in one batch; not set: what the preset and experience allow'),
  memory_reserve_mb: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe('Megabytes of the memory of a device that are left to others by the fit test; not set: by its size'),
  energy: energySettings,
  tariff: tariffSettings,
  carbon: carbonSettings,
  report: reportSettings,
  when: whenSetting,
  limits: limitSettings,
  worker: workerSettings,
  hours: hoursSetting,
  notify: notifySettings,
  disk_reserve_mb: z.int().min(0).default(512).describe('Megabytes that stay free on the disk of the pictures'),
  log: z
    .strictObject({
      level: z.enum(['error', 'warn', 'info', 'debug']).default('info').describe('What is written to stderr'),
    })
    .prefault({})
    .describe('Logging'),
  no_color: z.boolean().default(false).describe('Plain text without colours; NO_COLOR in the environment sets it too'),
});
export type Settings = z.output<typeof configSchema>;

/** For tests only and from the environment only: in no file, no schema and no help. */
export const hiddenSchema = z.strictObject({
  worker_engine: z.enum(['diffusers', 'fake']).default('diffusers'),
  /** The fault point at which the process kills itself with SIGKILL. */
  fault: z
    .string()
    .regex(/^[a-z0-9_-]+$/)
    .nullable()
    .default(null),
});

/** One value that can be set; `path` is its YAML path with dots. */
export interface Setting {
  readonly path: string;
  readonly schema: z.ZodType;
  readonly description: string;
}

export const SETTINGS: ReadonlyMap<string, Setting> = settingsOf(configSchema.shape);
export const HIDDEN_SETTINGS: ReadonlyMap<string, Setting> = settingsOf(hiddenSchema.shape);

/** The groups, which hold settings and are none themselves. */
export const GROUPS: ReadonlySet<string> = new Set(
  [...SETTINGS.keys()].filter((path) => path.includes('.')).map((path) => path.slice(0, path.lastIndexOf('.'))),
);

/** For editors: what may stand in `kilnwatt.yaml`. */
export function configJsonSchema(): Record<string, unknown> {
  return { title: 'kilnwatt.yaml', ...z.toJSONSchema(configSchema, { io: 'input' }) };
}

/**
 * What is wrong with a value, or undefined: `format cannot be "gif": expected one of "png"|"jpeg"|"webp"`.
 * The value of a setting that may hold a password or a token is not repeated.
 */
export function faultOf(setting: Setting, value: unknown): string | undefined {
  return faultAt(setting, value)?.message;
}

/** As {@link faultOf}, with where inside the value it is. */
export function faultAt(setting: Setting, value: unknown): Fault | undefined {
  if (setting.path === 'presets') return ownPresetsFault(value);
  const result = setting.schema.safeParse(value);
  if (result.success) return undefined;
  const [issue] = result.error.issues;
  const secret = isSecret(setting.path);
  if (issue !== undefined && issue.path.length > 0 && !secret)
    return innerFault(setting.path, setting.schema, value, issue);
  const shown = secret ? 'be used' : `be ${JSON.stringify(value)}`;
  return { path: [], message: `${setting.path} cannot ${shown}: ${reasonOf(issue)}` };
}

/** The known path that a mistyped one most likely meant. Case, `-` and `_` do not count, nor does the group where the rest fits. */
export function nearestPath(path: string, known: readonly string[]): string | undefined {
  const byWhole = new Map(known.map((candidate) => [plain(candidate), candidate]));
  const byLeaf = new Map(known.map((candidate) => [plain(lastPart(candidate)), candidate]));
  return (
    byWhole.get(nearest(plain(path), [...byWhole.keys()]) ?? '') ??
    byLeaf.get(nearest(plain(lastPart(path)), [...byLeaf.keys()]) ?? '')
  );
}

function settingsOf(shape: Readonly<Record<string, z.ZodType>>, prefix = ''): Map<string, Setting> {
  const found = new Map<string, Setting>();
  for (const [name, schema] of Object.entries(shape)) {
    const path = `${prefix}${name}`;
    const inner = schema instanceof z.ZodPrefault ? schema.unwrap() : schema;
    if (inner instanceof z.ZodObject) {
      for (const [below, setting] of settingsOf(inner.shape, `${path}.`)) found.set(below, setting);
    } else {
      found.set(path, { path, schema, description: schema.description ?? '' });
    }
  }
  return found;
}

function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[-_]/g, '');
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}
