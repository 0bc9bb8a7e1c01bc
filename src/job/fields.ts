import { InputError } from '../errors.ts';
import type { Fields } from './draft.ts';
import { type LoraDraft, MAX_LORA_WEIGHT, parseLora } from './loras.ts';
import { suggestion } from './nearest.ts';
import { MAX_SEED } from './request.ts';
import { isSchedule, parseSampler, parseSchedule } from './sampler.ts';

/** One thing that was said: the field's name as written, what to call it in an error, its text. */
export interface Said {
  readonly name: string;
  readonly label: string;
  readonly value: string;
}

/** Where it was said, and the error code for a value that cannot be read. */
export interface Source {
  readonly place: string;
  readonly code: 'bad_flag' | 'bad_field';
}

/**
 * Reads fields by our names and A1111's; upper and lower case, hyphens, underscores and blanks make no
 * difference. Flags, CSV columns, JSON keys and the command line all mean the same by the same name.
 *
 * @throws InputError with the source's code for an unknown name, a value that cannot be read, or a field
 *   that is said twice, differently
 */
export function readFields(said: readonly Said[], source: Source): Fields {
  const read: Read = {};
  for (const one of said) {
    const field = FIELDS.get(squeeze(one.name));
    if (field === undefined) throw unknownField(one.label, one.name, source);
    merge(read, field.read(one.value, { ...source, label: one.label }), { ...source, label: one.label });
  }
  const { batchSize, iterations, ...fields } = read;
  if (batchSize === undefined && iterations === undefined) return fields;
  const n = (batchSize ?? 1) * (iterations ?? 1);
  merge(fields, { n }, { ...source, label: '--batch_size and --n_iter' });
  return fields;
}

/** Whether a flag, column or key of this name exists. */
export function isFieldName(name: string): boolean {
  return FIELDS.has(squeeze(name));
}

/** Whether the field takes all unquoted words that follow its flag, as A1111's prompts do. */
export function takesWords(name: string): boolean {
  return FIELDS.get(squeeze(name))?.words ?? false;
}

/** What `run` takes, and no line of a file. */
const OF_RUN: ReadonlySet<string> = new Set([
  'preset',
  'devices',
  'out',
  'pattern',
  'format',
  'sidecar',
  'priority',
  'tag',
]);

/** The error for a name that no field has; `mend` says what else can be done about it. */
export function unknownField(label: string, name: string, source: Source, mend = ''): InputError {
  if (OF_RUN.has(squeeze(name)))
    return new InputError(`${label} is of the whole run and not of one line: give it on the command line`, source);
  const meant = suggestion(name, FIELD_NAMES, label.startsWith('--') ? '--' : '');
  return new InputError(`${label} is not known${meant}${mend}`, source);
}

/** The two factors of A1111's count of pictures, until they are multiplied. */
type Read = { -readonly [Name in keyof Fields]: Fields[Name] } & { batchSize?: number; iterations?: number };
type Context = Source & { readonly label: string };
interface Field {
  read(value: string, at: Context): Read;
  readonly words: boolean;
}

function merge(into: Read, read: Read, at: Context): void {
  const before = new Map<string, unknown>(Object.entries(into));
  // The one field that may be said several times, because a picture may have several.
  const loras = read.loras === undefined ? {} : { loras: [...(into.loras ?? []), ...read.loras] };
  const clash = Object.entries({ ...read, loras: undefined }).some(
    ([name, value]) => value !== undefined && before.has(name) && before.get(name) !== value,
  );
  if (clash) throw refused(at, 'contradicts what was said before it');
  Object.assign(into, read, loras);
}

const WORDS: Readonly<Record<string, Field['read']>> = {
  prompt: (value) => ({ prompt: value.trim() }),
  negative_prompt: (value) => ({ negativePrompt: value.trim() }),
};

const VALUES: Readonly<Record<string, Field['read']>> = {
  seed: (value, at) => ({ seed: seed(value, at) }),
  steps: (value, at) => ({ steps: whole(value, at) }),
  cfg_scale: (value, at) => ({ guidance: decimal(value, at) }),
  width: (value, at) => ({ width: whole(value, at) }),
  height: (value, at) => ({ height: whole(value, at) }),
  size,
  sampler: (value, at) => parseSampler(value, at.place),
  scheduler: (value, at) => (isSchedule(value) ? schedule(value, at) : parseSampler(value, at.place)),
  schedule,
  batch_size: (value, at) => ({ batchSize: whole(value, at) }),
  n_iter: (value, at) => ({ iterations: whole(value, at) }),
  n: (value, at) => ({ n: whole(value, at) }),
  model: (value) => ({ model: value.trim() }),
  lora: (value, at) => ({ loras: [lora(value, at)] }),
  loras: (value, at) => ({ loras: listed(value).map((one) => lora(one, at)) }),
  clip_skip: (value, at) => ({ clipSkip: whole(value, at) }),
  name: (value) => (value.trim() === '' ? {} : { name: value.trim() }),
};

const ALIASES: Readonly<Record<string, string>> = {
  negative: 'negative_prompt',
  cfg: 'cfg_scale',
  guidance: 'cfg_scale',
  guidance_scale: 'cfg_scale',
  num_inference_steps: 'steps',
  sampler_name: 'sampler',
  schedule_type: 'schedule',
  sd_model: 'model',
  file: 'name',
  custom_id: 'name',
};

const FIELDS: ReadonlyMap<string, Field> = new Map([
  ...Object.entries(WORDS).map(([name, read]) => [squeeze(name), { read, words: true }] as const),
  ...Object.entries(VALUES).map(([name, read]) => [squeeze(name), { read, words: false }] as const),
  ...Object.entries(ALIASES).map(([alias, name]) => [squeeze(alias), fieldOf(name)] as const),
]);

const FIELD_NAMES: readonly string[] = [...Object.keys(WORDS), ...Object.keys(VALUES), ...Object.keys(ALIASES)];

function fieldOf(name: string): Field {
  const words = WORDS[name];
  const value = VALUES[name];
  if (words !== undefined) return { read: words, words: true };
  if (value !== undefined) return { read: value, words: false };
  throw new Error(`an alias names the field ${name}, which does not exist`);
}

function squeeze(name: string): string {
  return name.toLowerCase().replaceAll(/[\s_-]/g, '');
}

function size(value: string, at: Context): Read {
  const match = /^\s*(\d{1,7})\s*[x×]\s*(\d{1,7})\s*$/i.exec(value);
  if (match === null) {
    if (/^\s*auto\s*$/i.test(value)) return {};
    throw refused(at, `needs a size such as 512x768, not "${value}"`);
  }
  return { width: Number(match[1]), height: Number(match[2]) };
}

/** Divided by commas or semicolons; a comma in a weight, as in `ink:0,8`, is a decimal point. */
function listed(value: string): readonly string[] {
  return value
    .split(/;|(?<!:\s*[+-]?\d*),|,(?!\d+\s*(?:[,;]|$))/)
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function lora(value: string, at: Context): LoraDraft {
  const read = parseLora(value);
  if (read !== undefined) return read;
  const weight = `a weight from -${MAX_LORA_WEIGHT} to ${MAX_LORA_WEIGHT}`;
  throw refused(at, `needs a LoRA, as in ink or ink:0.8 with ${weight}, not "${value}"`);
}

function schedule(value: string, at: Context): Read {
  const name = parseSchedule(value, at.place);
  return name === undefined ? {} : { schedule: name };
}

function seed(value: string, at: Context): number | null {
  const number = whole(value, at);
  if (number === -1) return null;
  if (number < 0 || number > MAX_SEED) {
    throw refused(at, `must be from 0 to ${MAX_SEED}, or -1 for one that is drawn, not ${value}`);
  }
  return number;
}

function whole(value: string, at: Context): number {
  if (!/^\s*[+-]?\d+\s*$/.test(value)) throw refused(at, `needs a whole number, not "${value}"`);
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw refused(at, `cannot be as large as ${value}`);
  return number;
}

/** A comma is a decimal point too: spreadsheets of many countries write `7,5`. */
function decimal(value: string, at: Context): number {
  if (!/^\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)\s*$/.test(value)) throw refused(at, `needs a number, not "${value}"`);
  return Number(value.replace(',', '.'));
}

function refused(at: Context, what: string): InputError {
  return new InputError(`${at.label} ${what}`, { code: at.code, place: at.place });
}
