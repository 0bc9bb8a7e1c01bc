import { InputError, sentenceOf } from '../errors.ts';
import type { Draft } from './draft.ts';
import { readFields, type Said } from './fields.ts';

/**
 * Reads JSON lines: each is a line of OpenAI's Batch interface, whose `custom_id` names the picture, or
 * a plain object of request fields. Null says nothing, as an absent key.
 * @throws InputError `bad_json`, `bad_field`
 */
export function readJsonl(text: string, path: string): Draft[] {
  return text.split('\n').flatMap((line, at) => {
    return line.trim() === '' ? [] : [draftOf(objectOf(line, `${path}:${at + 1}`), `${path}:${at + 1}`)];
  });
}

type Keys = Readonly<Record<string, unknown>>;

/** Keys that OpenAI's service knows and no model here has: a file that was written for it runs unchanged. */
const IGNORED: ReadonlySet<string> = new Set([
  'background',
  'moderation',
  'output_compression',
  'output_format',
  'partial_images',
  'quality',
  'response_format',
  'stream',
  'style',
  'user',
]);

const URL = '/v1/images/generations';

function objectOf(line: string, place: string): Keys {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new InputError(`cannot be read as JSON (${sentenceOf(error)})`, { code: 'bad_json', place, cause: error });
  }
  if (!isObject(value)) throw new InputError('is no JSON object', { code: 'bad_json', place });
  return value;
}

function draftOf(line: Keys, place: string): Draft {
  const said = 'body' in line ? ofBatchLine(line, place) : keysOf(line, place);
  const fields = readFields(said, { place, code: 'bad_field' });
  return { ...fields, prompt: fields.prompt ?? '', place };
}

function ofBatchLine(line: Keys, place: string): Said[] {
  const { body, method, url, ...rest } = line;
  if (!isObject(body)) throw new InputError('body must be an object', { code: 'bad_field', place });
  if (method !== undefined && method !== 'POST') {
    throw new InputError('method must be "POST"', { code: 'bad_field', place });
  }
  if (url !== undefined && url !== URL) throw new InputError(`url must be "${URL}"`, { code: 'bad_field', place });
  const asked = Object.entries(body).filter(([name]) => !IGNORED.has(name));
  return [...keysOf(rest, place), ...keysOf(Object.fromEntries(asked), place)];
}

function keysOf(keys: Keys, place: string): Said[] {
  return Object.entries(keys).flatMap(([name, value]) => {
    if (value === null) return [];
    if (Array.isArray(value) && isLoras(name)) return lorasOf(name, value, place);
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw new InputError(`${name} must be a text or a number`, { code: 'bad_field', place });
    }
    return [{ name, label: name, value: String(value) }];
  });
}

/** `"ink:0.8"`, or `{"name": "ink", "weight": 0.8}`. An empty list is said with an empty text: no LoRA. */
function lorasOf(name: string, values: readonly unknown[], place: string): Said[] {
  if (values.length === 0) return [{ name: 'loras', label: name, value: '' }];
  return values.map((value) => {
    const { name: lora, weight = 1, ...rest } = isObject(value) ? value : { name: value };
    if (typeof lora !== 'string' || typeof weight !== 'number' || Object.keys(rest).length > 0) {
      throw new InputError(`${name} must hold texts, or objects of name and weight`, { code: 'bad_field', place });
    }
    return { name: 'lora', label: name, value: isObject(value) ? `${lora}:${weight}` : lora };
  });
}

function isLoras(name: string): boolean {
  return /^loras?$/i.test(name);
}

function isObject(value: unknown): value is Keys {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
