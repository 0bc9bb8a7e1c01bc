import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { AppError, InputError, StorageError, sentenceOf } from '../errors.ts';
import type { PowerReading, RawRow, Reading } from '../ports.ts';
import type { EpochMillis } from '../units.ts';

/** What was going on, by who recorded. */
export interface RecordingMark {
  readonly kind: 'mark';
  readonly at: EpochMillis;
  readonly what: string;
}

export interface RecordingMetadata {
  readonly fields: readonly string[];
  /** Of the cards, by UUID. */
  readonly names: Readonly<Record<string, string>>;
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
    const names = typeof value.names === 'object' && value.names !== null ? value.names : {};
    return { fields: fieldsOf(value, file), names: names as Record<string, string> };
  }
  throw bad(file, 1, 'is empty');
}

export interface RecordingWriter {
  /** As nvidia-smi printed it. */
  row(row: RawRow): void;
  /** Of all meters; those of nvidia-smi are in its rows already. */
  reading(reading: Reading): void;
  /** Whole lines only. @throws StorageError `recording_failed` */
  close(): Promise<void>;
}

export interface RecordingOptions {
  readonly started: EpochMillis;
  readonly names: ReadonlyMap<string, string>;
  readonly driver: string | null;
}

/**
 * Begins a recording in a file that is not there yet.
 * @throws InputError `recording_exists`, `not_writable`
 */
export async function createRecording(file: string, options: RecordingOptions): Promise<RecordingWriter> {
  const handle = await open(file, 'wx').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST')
      throw new InputError('is there already; name another file', { code: 'recording_exists', place: file });
    throw new InputError(`cannot be written (${sentenceOf(error)}); name another file`, {
      code: 'not_writable',
      place: file,
      cause: error,
    });
  });
  return new Writer(handle, options, file);
}

class Writer implements RecordingWriter {
  readonly #handle: FileHandle;
  readonly #options: RecordingOptions;
  readonly #file: string;
  /** What waits for the first row, whose fields the first line names. */
  #waiting: string[] | null = [];
  #written: Promise<unknown> = Promise.resolve();

  constructor(handle: FileHandle, options: RecordingOptions, file: string) {
    this.#handle = handle;
    this.#options = options;
    this.#file = file;
  }

  row({ at, fields, row }: RawRow): void {
    this.#begin(fields);
    this.#line({ t: at, src: 'smi', row });
  }

  reading(reading: Reading): void {
    const { at: t } = reading;
    if (reading.kind === 'counter')
      this.#line({ t, src: 'nvml', uuid: reading.gpu, mj: reading.millijoules, processes: reading.processes });
    if (reading.kind === 'wall') this.#line({ t, src: 'plug', w: reading.watts, wh: reading.wattHours });
    if (reading.kind === 'package') this.#line({ t, src: 'rapl', mj: reading.millijoules });
    if (reading.kind === 'lost') this.#line({ t, src: 'lost', source: reading.source, reason: reading.reason });
    if ((this.#waiting?.length ?? 0) >= MOST_WAITING) this.#begin([]);
  }

  async close(): Promise<void> {
    this.#begin([]);
    try {
      await this.#written;
      await this.#handle.sync();
    } catch (error) {
      const sentence = `${this.#file}: the recording could not be written to its end (${sentenceOf(error)}); free the disk and record again`;
      throw error instanceof AppError ? error : new StorageError(sentence, { code: 'recording_failed', cause: error });
    } finally {
      await this.#handle.close();
    }
  }

  #begin(fields: readonly string[]): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    const { started, names, driver } = this.#options;
    const all = {
      kilnwatt: 'telemetry',
      v: 1,
      fields,
      driver,
      uuids: [...names.keys()],
      names: Object.fromEntries(names),
    };
    this.#write([JSON.stringify({ ...all, started }), ...waiting]);
    this.#waiting = null;
  }

  #line(value: Readonly<Record<string, unknown>>): void {
    if (this.#waiting === null) this.#write([JSON.stringify(value)]);
    else this.#waiting.push(JSON.stringify(value));
  }

  #write(lines: readonly string[]): void {
    this.#written = this.#written.then(() => this.#handle.appendFile(`${lines.join('\n')}\n`));
    // It is told at the end.
    this.#written.catch(() => {});
  }
}

/** A host without nvidia-smi has no rows to wait for. */
const MOST_WAITING = 20;

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
