import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { InputError, sentenceOf } from '../errors.ts';
import type { PowerReading, Reading } from '../ports.ts';
import type { EpochMillis } from '../units.ts';

/** What was going on, by who recorded. */
export interface RecordingMark {
  readonly kind: 'mark';
  readonly at: EpochMillis;
  readonly what: string;
}

export interface RecordingMetadata {
  readonly fields: readonly string[];
  readonly uuids: readonly string[];
  /** Of the cards, in the order of `uuids`. */
  readonly names: readonly string[];
}

/**
 * What a recording says, in its order. A last line that a kill cut short is left out.
 * @throws InputError `bad_recording`
 */
export async function* readRecording(file: string): AsyncGenerator<Reading | RecordingMark> {
  let fields: readonly string[] | null = null;
  let broken: InputError | null = null;
  let number = 0;
  for await (const line of linesOf(file)) {
    if (broken !== null) throw broken;
    number += 1;
    const value = parsed(line);
    if (value === null) broken = bad(file, number, 'is no line of a recording of telemetry');
    else if (fields === null) fields = fieldsOf(value, file);
    else {
      const reading = readingOf(value, fields);
      if (reading !== null) yield reading;
    }
  }
  if (fields === null) throw broken ?? bad(file, 1, 'is empty');
}

/** @throws InputError `bad_recording` */
export async function metadataOf(file: string): Promise<RecordingMetadata> {
  for await (const line of linesOf(file)) {
    const value = parsed(line) ?? {};
    return { fields: fieldsOf(value, file), uuids: textsOf(value.uuids), names: textsOf(value.names) };
  }
  throw bad(file, 1, 'is empty');
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const stream = createReadStream(file, 'utf8');
  try {
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) yield line;
  } catch (error) {
    const sentence = `cannot be read (${sentenceOf(error)}); name a recording of \`kilnwatt telemetry record\``;
    throw new InputError(sentence, { code: 'bad_recording', place: file, cause: error });
  } finally {
    stream.destroy();
  }
}

function bad(file: string, line: number, what: string): InputError {
  const sentence = `${what}; name a recording of \`kilnwatt telemetry record\``;
  return new InputError(sentence, { code: 'bad_recording', place: `${file}:${line}` });
}

function parsed(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function fieldsOf({ fields }: Readonly<Record<string, unknown>>, file: string): readonly string[] {
  if (Array.isArray(fields)) return fields.map(String);
  throw bad(file, 1, 'does not begin as a recording of telemetry');
}

function readingOf(
  value: Readonly<Record<string, unknown>>,
  fields: readonly string[],
): Reading | RecordingMark | null {
  const at = Number(value.t);
  switch (value.src) {
    case 'smi':
      return powerOf(String(value.row), fields, at);
    case 'nvml':
      return { kind: 'counter', at, gpu: String(value.uuid), millijoules: numberOf(value.mj), processes: null };
    case 'plug':
      return { kind: 'wall', at, watts: numberOf(value.w), wattHours: numberOf(value.wh) };
    case 'rapl':
      return { kind: 'package', at, millijoules: Number(value.mj) };
    case 'lost':
      return { kind: 'lost', at, source: sourceOf(value.source), reason: String(value.reason) };
    case 'mark':
      return { kind: 'mark', at, what: String(value.what) };
    default:
      return null;
  }
}

function sourceOf(source: unknown): 'nvidia-smi' | 'nvml' | 'plug' | 'rapl' {
  return source === 'nvml' || source === 'plug' || source === 'rapl' ? source : 'nvidia-smi';
}

function powerOf(row: string, fields: readonly string[], at: EpochMillis): PowerReading | null {
  const cells = row.split(',').map((cell) => cell.trim());
  const cell = (...spellings: readonly string[]): string | undefined =>
    cells[fields.findIndex((field) => spellings.includes(field))];
  const number = (...spellings: readonly string[]) => numberOf(cell(...spellings));
  const gpu = cell('uuid', 'gpu_uuid');
  if (cells.length !== fields.length || gpu === undefined) return null;
  const instant = number('power.draw.instant');
  const utilization = number('utilization.gpu');
  const [used, total, fan] = [number('memory.used'), number('memory.total'), number('fan.speed')];
  return {
    kind: 'power',
    at,
    gpu,
    watts: instant ?? number('power.draw.average', 'power.draw'),
    instant: instant !== null,
    limit: number('enforced.power.limit', 'power.limit'),
    utilization: utilization === null ? null : utilization / 100,
    memoryUsed: used === null ? null : used * 1024 * 1024,
    memoryTotal: total === null ? null : total * 1024 * 1024,
    temperature: number('temperature.gpu'),
    fan: fan === null ? null : fan / 100,
    clock: number('clocks.sm', 'clocks.current.sm'),
    state: cell('pstate') ?? null,
  };
}

function numberOf(value: unknown): number | null {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : null;
}
