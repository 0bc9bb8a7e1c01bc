import type { Fields } from './fake-worker.ts';
import type { Seeded } from './seeded.ts';

/** A message as a broken worker would write it, its line feed included; which of the ways is left to chance. */
export function mutated(message: Fields, chance: Seeded): Buffer {
  const text = chance.isTrue(0.5) ? chance.pick(OF_FIELDS)(message, chance) : JSON.stringify(message);
  const line = Buffer.from(`${text}\n`);
  return text === JSON.stringify(message) ? chance.pick(OF_BYTES)(line, chance) : line;
}

const SPECIAL = ['__proto__', 'constructor', 'prototype', 'toString', '', 'é\u0000', 'hasOwnProperty'];
const HUGE = ['1e308', '1e999', '-1e999', '9007199254740993', '-1', '1.5', '0', '-0', '1e-400', '9'.repeat(400)];
const WRONG: readonly unknown[] = [null, true, '', 'x', 0, -1, [], {}, [[]], { a: 1 }];
const OVERLONG = 1_200_000;

const OF_FIELDS: readonly ((message: Fields, chance: Seeded) => string)[] = [
  (message, chance) => JSON.stringify(without(message, chance.pick(Object.keys(message)))),
  (message, chance) => {
    const name = chance.pick(Object.keys(message));
    return withRaw(message, `"${name}":${JSON.stringify(chance.pick(WRONG))}`);
  },
  (message, chance) => ofOneField(message, chance, JSON.stringify(chance.pick(WRONG))),
  (message, chance) => ofOneField(message, chance, chance.pick(HUGE)),
  (message, chance) => ofOneField(message, chance, nested(chance)),
  (message, chance) => withRaw(message, `${JSON.stringify(chance.pick(SPECIAL))}:{"polluted":true}`),
  (message, chance) => ofOneField(message, chance, `{"__proto__":{"polluted":true},"a":"b"}`),
  (message, chance) => ofOneField(message, chance, JSON.stringify('x'.repeat(length(chance)))),
  (message, chance) => withRaw(message, `"${'k'.repeat(length(chance))}":1`),
  (message, chance) => JSON.stringify({ ...message, launch: chance.pick(['', 'another', `${message.launch}0`]) }),
  (message, chance) => JSON.stringify({ ...message, seq: Number(message.seq) + chance.pick([-2, -1, 1, 2, 1e15]) }),
  (message, chance) =>
    JSON.stringify({ ...message, type: chance.pick(['hello', 'done', 'generate', 'shutdown', 'x']) }),
  (message) => JSON.stringify([message]),
  (_message, chance) => chance.pick(['', 'null', '{}', '[]', 'NaN', '"', 'Traceback (most recent call last):', '\r']),
];

const OF_BYTES: readonly ((line: Buffer, chance: Seeded) => Buffer)[] = [
  (line, chance) => {
    const flipped = Buffer.from(line);
    const at = chance.below(line.length);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << chance.below(8));
    return flipped;
  },
  (line, chance) => line.subarray(0, chance.below(line.length)),
  (line, chance) => Buffer.concat([line.subarray(0, chance.below(line.length)), Buffer.from('\n')]),
  (line, chance) => line.subarray(chance.below(line.length)),
  (line) => Buffer.concat([line, line]),
  (line) => Buffer.concat([line.subarray(0, -1), line]),
  (line, chance) => spliced(line, chance, Buffer.from([chance.pick([0x00, 0x0a, 0x0d, 0x80, 0xc3, 0xfe, 0xff])])),
  (line, chance) => spliced(line, chance, Buffer.from([0xed, 0xa0, 0x80])),
  (line, chance) => spliced(line, chance, line.subarray(chance.below(line.length))),
  (line, chance) => {
    const from = chance.below(line.length);
    return Buffer.concat([line.subarray(0, from), line.subarray(from + 1 + chance.below(20))]);
  },
];

/** Most are short; some are longer than a line may be. */
function length(chance: Seeded): number {
  return chance.isTrue(0.03) ? OVERLONG : chance.below(2_000);
}

function nested(chance: Seeded): string {
  const depth = chance.isTrue(0.03) ? 400_000 : 1 + chance.below(50);
  const [open, close] = chance.pick([['[', ']'] as const, ['{"a":', '}'] as const]);
  return `${open.repeat(depth)}1${close.repeat(depth)}`;
}

/** The value of one field, or of one that is inside it, becomes this JSON. */
function ofOneField(message: Fields, chance: Seeded, json: string): string {
  const name = chance.pick(Object.keys(message));
  const inner = message[name];
  if (chance.isTrue(0.5) && isFields(inner) && Object.keys(inner).length > 0) {
    return withRaw(without(message, name), `"${name}":${ofOneField(inner, chance, json)}`);
  }
  return withRaw(without(message, name), `"${name}":${json}`);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function without(message: Fields, name: string): Fields {
  return Object.fromEntries(Object.entries(message).filter(([key]) => key !== name));
}

/** With one more field, although it may be there already. */
function withRaw(message: Fields, field: string): string {
  const text = JSON.stringify(message);
  return text === '{}' ? `{${field}}` : `${text.slice(0, -1)},${field}}`;
}

function spliced(line: Buffer, chance: Seeded, what: Buffer): Buffer {
  const at = chance.below(line.length);
  return Buffer.concat([line.subarray(0, at), what, line.subarray(at)]);
}
