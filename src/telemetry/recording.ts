import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { z } from 'zod';
import { InputError, sentenceOf } from '../errors.ts';
import type { RawRow, Reading } from '../ports.ts';
import { LINE_FEED, LineSplitter } from '../process/lines.ts';
import type { EpochMillis } from '../units.ts';
import { counterOf } from './gauge-line.ts';
import {
  headSchema,
  metadataFrom,
  type RecordingLine,
  type RecordingMetadata,
  recordingLineSchema,
} from './recording-line.ts';
import { Rising } from './rising.ts';
import { rowReader } from './smi-row.ts';

/** What whoever recorded wrote down of what was going on: idle, busy, unloading. */
export interface RecordingMark {
  readonly kind: 'mark';
  readonly at: EpochMillis;
  readonly what: string;
}

/** @throws InputError `bad_recording` */
export async function metadataOf(file: string): Promise<RecordingMetadata> {
  const lines = linesOf(file);
  try {
    const { value: first } = await lines.next();
    return headFrom(file, first);
  } finally {
    await lines.return(undefined);
  }
}

/**
 * The readings of a recording in the order of its lines. Rows of nvidia-smi that are not whole are left out, as they are
 * when they come; a recording that was cut short by a kill ends with its last whole line.
 * @throws InputError `bad_recording`, with the file and the line
 */
export async function* readRecording(file: string): AsyncGenerator<Reading | RecordingMark> {
  for await (const { reading } of playRecording(file)) if (reading !== null) yield reading;
}

/** As `readRecording`, with the rows of nvidia-smi as they came; a row of which nothing can be made has no reading. */
export async function* playRecording(file: string): AsyncGenerator<{
  readonly at: EpochMillis;
  readonly row: RawRow | null;
  readonly reading: Reading | RecordingMark | null;
}> {
  let number = 0;
  let reader: Reader | null = null;
  for await (const text of linesOf(file)) {
    number += 1;
    if (reader === null) {
      reader = new Reader(headFrom(file, text).fields);
      continue;
    }
    if (text.trim() === '') continue;
    const line = parsed(recordingLineSchema, text, `${file}:${number}`);
    yield { at: line.t, ...reader.read(line) };
  }
  if (reader === null) headFrom(file, undefined);
}

/** Whether a recording that was read ends within a line, as after a kill. */
export async function isCutShort(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(1), position: Math.max(0, size - 1) });
    return bytesRead === 1 && buffer[0] !== LINE_FEED;
  } finally {
    await handle.close();
  }
}

/** Knows what the rows mean, and carries the plug's counter on as the live adapter does. */
class Reader {
  #fields: readonly string[];
  #readRow: ReturnType<typeof rowReader>;
  readonly #wall = new Rising();

  constructor(fields: readonly string[]) {
    this.#fields = fields;
    this.#readRow = rowReader(fields);
  }

  read(line: RecordingLine): { readonly row: RawRow | null; readonly reading: Reading | RecordingMark | null } {
    if (line.src !== 'smi') return { row: null, reading: this.#other(line) };
    const row = { at: line.t, fields: this.#fields, row: line.row };
    return { row, reading: this.#readRow(line.row, line.t) };
  }

  #other(line: Exclude<RecordingLine, { src: 'smi' }>): Reading | RecordingMark | null {
    switch (line.src) {
      case 'fields':
        this.#fields = line.fields;
        this.#readRow = rowReader(line.fields);
        return null;
      case 'nvml':
        return counterOf(line);
      case 'rapl':
        return { kind: 'package', at: line.t, millijoules: line.mj };
      case 'plug':
        return {
          kind: 'wall',
          at: line.t,
          watts: line.w,
          wattHours: line.wh === null ? null : this.#wall.next(line.wh),
        };
      case 'lost':
        return { kind: 'lost', at: line.t, source: line.source, reason: line.reason };
      case 'mark':
        return { kind: 'mark', at: line.t, what: line.what };
    }
  }
}

function headFrom(file: string, first: string | undefined): RecordingMetadata {
  if (first === undefined) throw refusal(`${file}:1`, 'it is empty, or its first line is not whole');
  return metadataFrom(parsed(headSchema, first, `${file}:1`));
}

function parsed<T>(schema: z.ZodType<T>, text: string, place: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refusal(place, 'this line is not JSON');
  }
  const found = schema.safeParse(value);
  if (found.success) return found.data;
  const issue = found.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  throw refusal(place, `this line is not one of a recording (${where}${issue?.message ?? 'unknown'})`);
}

function refusal(place: string, what: string, cause?: unknown): InputError {
  const sentence = `${what}; name a file that \`kilnwatt telemetry record\` wrote`;
  return new InputError(sentence, { code: 'bad_recording', place, cause });
}

const LINE_BYTES = 1024 * 1024;

/** Whole lines only: the end of a recording that was cut short is no line. */
async function* linesOf(file: string): AsyncGenerator<string, undefined> {
  let lines: string[] = [];
  const splitter = new LineSplitter({
    ends: [LINE_FEED],
    limit: LINE_BYTES,
    onLine: (line) => lines.push(line),
    // It is no JSON then, and refused with its number.
    onOverlong: (beginning) => lines.push(beginning),
  });
  const stream = createReadStream(file);
  try {
    for await (const chunk of stream) {
      splitter.push(chunk);
      const whole = lines;
      lines = [];
      yield* whole;
    }
  } catch (error) {
    throw refusal(file, `it cannot be read (${sentenceOf(error)})`, error);
  }
  return undefined;
}
