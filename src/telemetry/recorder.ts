import { type FileHandle, open } from 'node:fs/promises';
import { InputError, StorageError, sentenceOf } from '../errors.ts';
import type { Clock, Reading, Telemetry, Watching } from '../ports.ts';

export interface Recorder extends Watching {
  /** What went wrong with the disk; nothing more is written then. */
  readonly fault: StorageError | null;
}

/**
 * Records all that a telemetry tells until it is stopped; `onReading` hears it too.
 * @throws InputError `recording_exists`; StorageError `recording_failed`; UnavailableError where nvidia-smi does not answer
 */
export async function recordTelemetry(
  telemetry: Telemetry,
  file: string,
  { clock, onReading }: { readonly clock: Clock; readonly onReading?: (reading: Reading) => void },
): Promise<Recorder> {
  const gpus = await telemetry.gpus();
  const writer = new Writer(await created(file), file);
  const head = {
    kilnwatt: 'telemetry',
    v: 1,
    driver: gpus[0]?.driver ?? null,
    uuids: gpus.map(({ uuid }) => uuid),
    names: gpus.map(({ name }) => name),
    started: clock.now(),
  };
  // The first line names the fields of the rows, so that the rest waits for a row where there is a card.
  let waiting: object[] | null = [];
  const begin = (fields: readonly string[]) => {
    for (const line of waiting === null ? [] : [{ ...head, fields }, ...waiting]) writer.write(line);
    waiting = null;
  };
  const tell = (line: object) => {
    if (waiting === null) writer.write(line);
    else waiting.push(line);
  };
  if (gpus.length === 0) begin([]);
  const watching = telemetry.watch(
    (reading) => {
      const line = lineOf(reading);
      if (line !== null) tell(line);
      onReading?.(reading);
    },
    ({ at, fields, row }) => {
      begin(fields);
      tell({ t: at, src: 'smi', row });
    },
  );
  return {
    get fault() {
      return writer.fault;
    },
    stop: async () => {
      await watching.stop();
      begin([]);
      await writer.close();
    },
  };
}

class Writer {
  readonly #handle: FileHandle;
  readonly #file: string;
  #written: Promise<void> = Promise.resolve();
  #fault: StorageError | null = null;

  constructor(handle: FileHandle, file: string) {
    this.#handle = handle;
    this.#file = file;
  }

  get fault(): StorageError | null {
    return this.#fault;
  }

  write(line: object): void {
    const append = async () => this.#handle.appendFile(`${JSON.stringify(line)}\n`);
    this.#written = this.#written.then(append).catch((error: unknown) => {
      this.#fault ??= failure(this.#file, error);
    });
  }

  async close(): Promise<void> {
    await this.#written;
    await this.#handle.close();
    if (this.#fault !== null) throw this.#fault;
  }
}

async function created(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'wx');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST')
      throw new InputError('is there already; name another file', { code: 'recording_exists', place: file });
    throw failure(file, error);
  }
}

function failure(file: string, error: unknown): StorageError {
  const sentence = `${file}: the recording cannot be written (${sentenceOf(error)}); make room, or name another file`;
  return new StorageError(sentence, { code: 'recording_failed', cause: error });
}

function lineOf(reading: Reading): object | null {
  const { at: t } = reading;
  switch (reading.kind) {
    case 'power':
      return null;
    case 'counter':
      return { t, src: 'nvml', uuid: reading.gpu, mj: reading.millijoules, processes: reading.processes };
    case 'wall':
      return { t, src: 'plug', w: reading.watts, wh: reading.wattHours };
    case 'package':
      return { t, src: 'rapl', mj: reading.millijoules };
    case 'lost':
      return { t, src: 'lost', source: reading.source, reason: reading.reason };
  }
}
