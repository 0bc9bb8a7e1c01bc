import { z } from 'zod';
import { suggestion } from './job/nearest.ts';

/** Where inside the value of a setting something is wrong, and the sentence about it. */
export interface Fault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What is wrong inside a list or a record: `tariff.zones[1].hours cannot be "22-6": expected …`. */
export function innerFault(setting: string, schema: z.ZodType, value: unknown, issue: z.core.$ZodIssue): Fault {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    const advice = suggestion(key, namesIn(z.toJSONSchema(schema, { io: 'input' })));
    return { path: [...path, key], message: `${pathText(setting, [...path, key])} is not a setting${advice}` };
  }
  if (issue.code === 'invalid_key') {
    const key = JSON.stringify(path.at(-1));
    return {
      path,
      message: `${pathText(setting, path.slice(0, -1))} cannot name ${key}: ${reasonOf(issue.issues[0])}`,
    };
  }
  const said = path.reduce<unknown>((holder, name) => (holder as Record<string | number, unknown>)[name], value);
  const what = said === undefined ? 'is missing' : `cannot be ${JSON.stringify(said)}: ${reasonOf(issue)}`;
  return { path, message: `${pathText(setting, path)} ${what}` };
}

/** Without zod's "Invalid input". */
export function reasonOf(issue: z.core.$ZodIssue | undefined): string {
  return (issue?.message ?? 'not valid').replace(/^[^:]*: (?=expected)/, '');
}

function pathText(setting: string, path: Fault['path']): string {
  return path.reduce<string>((text, part) => text + (typeof part === 'number' ? `[${part}]` : `.${part}`), setting);
}

/** Of all properties, at any depth. */
function namesIn(schema: unknown): readonly string[] {
  if (schema === null || typeof schema !== 'object') return [];
  return Object.entries(schema).flatMap(([key, below]) => [
    ...(key === 'properties' ? Object.keys(below) : []),
    ...namesIn(below),
  ]);
}
