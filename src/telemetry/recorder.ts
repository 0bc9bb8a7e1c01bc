import { type FileHandle, open } from 'node:fs/promises';
import { InputError, StorageError, sentenceOf } from '../errors.ts';
import type { Clock, PowerReading, RawRow, Reading, Telemetry } from '../ports.ts';
import type { Millis } from '../units.ts';
import { headOf, type RecordingLine, type RecordingMetadata } from './recording-line.ts';

export interface RecordingWriter {
  /** Kept in memory until the next flush, a second later at most. */
  write(line: RecordingLine): void;
  /** What went wrong with the disk; nothing more is written then. */
  readonly fault: StorageError | null;
  /** Writes what is left. May be called twice. @throws StorageError `recording_failed` if anything is not in the file */
  close(): Promise<void>;
}

const FLUSH_MS: Millis = 1_000;

/**
 * A new recording, whole up to a line at any moment.
 * @param head is asked when the first lines are flushed, since by then more is known
 * @param create makes the file; handed in by a test whose disk is full
 * @throws InputError `recording_exists`, since none is ever overwritten
 * @throws StorageError `recording_failed`
 */
export async function createRecording(
  file: string,
  head: () => RecordingMetadata,
  { clock, create = createNew }: { readonly clock: Clock; readonly create?: (file: string) => Promise<FileHandle> },
): Promise<RecordingWriter> {
  return new Writer(await created(file, create), file, head, clock);
}

export interface Recorder {
  /** As of the writer. */
  readonly fault: StorageError | null;
  mark(what: string): void;
  /** Ends the watching and the file. @throws StorageError `recording_failed` */
  stop(): Promise<void>;
}

/**
 * Records all that a telemetry tells until it is stopped; `onReading` hears it too. Rows of nvidia-smi are kept as they
 * came where the telemetry offers them, and are made of its readings where it does not.
 * @throws as `createRecording`; UnavailableError where nvidia-smi does not answer
 */
export async function recordTelemetry(
  telemetry: Telemetry,
  file: string,
  { clock, onReading }: { readonly clock: Clock; readonly onReading?: (reading: Reading) => void },
): Promise<Recorder> {
  const [gpus, { host, cpu, memory }] = await Promise.all([telemetry.gpus(), telemetry.inventory()]);
  const about = {
    driver: gpus[0]?.driver ?? null,
    uuids: gpus.flatMap(({ uuid }) => uuid ?? []),
    names: gpus.flatMap(({ uuid, name }) => (uuid === null ? [] : name)),
    started: clock.now(),
    machine: { host, cpu, memory },
  };
  const rows = new Rows();
  const head = () => ({ ...about, fields: rows.head() });
  const writer = await createRecording(file, head, { clock });
  const onRow = (row: RawRow) => {
    for (const line of rows.linesFor(row)) writer.write(line);
  };
  const watching = telemetry.watch((reading) => {
    if (reading.kind !== 'power') writer.write(lineOf(reading));
    else if (!rows.offered) writer.write({ t: reading.at, src: 'smi', row: rowOf(reading) });
    onReading?.(reading);
  }, onRow);
  return {
    get fault() {
      return writer.fault;
    },
    mark: (what) => writer.write({ t: clock.now(), src: 'mark', what }),
    stop: async () => {
      await watching.stop();
      await writer.close();
    },
  };
}

/** What the rows of a recording are: the head names the fields of the first ones, and a line of its own each change. */
class Rows {
  #inHead: readonly string[] | null = null;
  #latest: readonly string[] | null = null;

  /** Whether the telemetry has rows at all. */
  get offered(): boolean {
    return this.#latest !== null;
  }

  head(): readonly string[] {
    this.#inHead ??= OWN_FIELDS;
    return this.#inHead;
  }

  linesFor({ at: t, fields, row }: RawRow): readonly RecordingLine[] {
    this.#inHead ??= fields;
    const isAsBefore = fields.join() === (this.#latest ?? this.#inHead).join();
    this.#latest = fields;
    const line = { t, src: 'smi', row } as const;
    return isAsBefore ? [line] : [{ t, src: 'fields', fields: [...fields] }, line];
  }
}

function createNew(file: string): Promise<FileHandle> {
  return open(file, 'wx');
}

async function created(file: string, create: (file: string) => Promise<FileHandle>): Promise<FileHandle> {
  try {
    return await create(file);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      const sentence = 'there is such a file already; name another, since a recording is never overwritten';
      throw new InputError(sentence, { code: 'recording_exists', place: file });
    }
    throw failure(file, error);
  }
}

function failure(file: string, error: unknown): StorageError {
  return new StorageError(
    `${file}: the recording cannot be written (${sentenceOf(error)}); make room, or name another.`,
    {
      code: 'recording_failed',
      cause: error,
    },
  );
}

class Writer implements RecordingWriter {
  readonly #handle: FileHandle;
  readonly #file: string;
  readonly #clock: Clock;
  #head: (() => RecordingMetadata) | null;
  #waiting: string[] = [];
  #flushing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | null = null;
  #cancel: (() => void) | null = null;
  #fault: StorageError | null = null;

  constructor(handle: FileHandle, file: string, head: () => RecordingMetadata, clock: Clock) {
    this.#head = head;
    this.#handle = handle;
    this.#file = file;
    this.#clock = clock;
  }

  get fault(): StorageError | null {
    return this.#fault;
  }

  write(line: RecordingLine): void {
    if (this.#fault !== null || this.#closing !== null) return;
    this.#waiting.push(`${JSON.stringify(line)}\n`);
    this.#cancel ??= this.#clock.after(FLUSH_MS, () => {
      this.#cancel = null;
      this.#flush();
    });
  }

  async close(): Promise<void> {
    this.#closing ??= this.#end();
    await this.#closing;
    if (this.#fault !== null) throw this.#fault;
  }

  async #end(): Promise<void> {
    this.#cancel?.();
    this.#flush();
    await this.#flushing;
    await this.#handle.close();
  }

  #flush(): void {
    const head = this.#head === null ? [] : [`${JSON.stringify(headOf(this.#head()))}\n`];
    this.#head = null;
    const text = [...head, ...this.#waiting.splice(0)].join('');
    this.#flushing = this.#flushing.then(() => this.#append(text));
  }

  async #append(text: string): Promise<void> {
    if (text === '' || this.#fault !== null) return;
    try {
      await this.#handle.appendFile(text);
    } catch (error) {
      this.#fault = failure(this.#file, error);
    }
  }
}

function lineOf(reading: Exclude<Reading, PowerReading>): RecordingLine {
  const { at: t } = reading;
  switch (reading.kind) {
    case 'counter':
      return { t, src: 'nvml', uuid: reading.gpu, mj: reading.millijoules, processes: listOf(reading.processes) };
    case 'wall':
      return { t, src: 'plug', w: reading.watts, wh: reading.wattHours };
    case 'package':
      return { t, src: 'rapl', mj: reading.millijoules };
    case 'lost':
      return { t, src: 'lost', source: reading.source, reason: reading.reason };
  }
}

function listOf<T>(list: readonly T[] | null): T[] | null {
  return list === null ? null : [...list];
}

const OWN_FIELDS = [
  'uuid',
  'power.draw.instant',
  'power.draw.average',
  'enforced.power.limit',
  'utilization.gpu',
  'memory.used',
  'memory.total',
  'temperature.gpu',
  'fan.speed',
  'clocks.sm',
  'pstate',
];

/** The reading as nvidia-smi would have printed it. */
function rowOf(reading: PowerReading): string {
  const { gpu, watts, instant, limit, utilization, memoryUsed, memoryTotal, temperature, fan, clock, state } = reading;
  const power = instant ? [watts, null] : [null, watts];
  const memory = [memoryUsed, memoryTotal].map((bytes) => (bytes === null ? null : bytes / 1024 ** 2));
  const cells = [gpu, ...power, limit, percentOf(utilization), ...memory, temperature, percentOf(fan), clock, state];
  return cells.map((cell) => cell ?? '[N/A]').join(', ');
}

/** Without the digits that only the binary number has. */
function percentOf(share: number | null): number | null {
  return share === null ? null : Math.round(share * 10_000) / 100;
}
