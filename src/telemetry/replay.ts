import { availableParallelism, cpus, type as osType, release, totalmem } from 'node:os';
import { sentenceOf } from '../errors.ts';
import type { Clock, Gpu, Inventory, LostReading, RawRow, Reading, Telemetry, Watching } from '../ports.ts';
import { pause, systemClock } from '../process/clock.ts';
import { metadataOf, playRecording } from './recording.ts';
import { cellsOf, numberOf, textOf } from './smi-fields.ts';
import { rowReader } from './smi-row.ts';

export interface ReplayOptions {
  readonly clock?: Clock;
  /** How many times as fast as it was; Infinity for all at once. */
  readonly speed?: number;
}

/**
 * The host that was recorded. Each watcher has the whole recording, in the pace in which it came, with the times that it
 * has in the file; when it is over, each meter that spoke is lost, and so is all of it where the file turns out to be bad.
 * What asks for cards and for the host reads the file's beginning.
 */
export function replayTelemetry(file: string, { clock = systemClock, speed = 1 }: ReplayOptions = {}): Telemetry {
  let cards: Promise<readonly Gpu[]> | undefined;
  const gpus = () => {
    cards ??= cardsOf(file);
    return cards;
  };
  let inventory: Promise<Inventory> | undefined;
  return {
    gpus,
    inventory: () => {
      inventory ??= inventoryOf(file, gpus);
      return inventory;
    },
    watch: (onReading, onRow) => watchRecording(file, { clock, speed }, onReading, onRow),
    check: async () => [
      await metadataOf(file).then(
        ({ names }) =>
          ({ name: 'recording', status: 'ok', detail: `${file}: ${names.join(', ') || 'no card'}` }) as const,
        (error: unknown) =>
          ({ name: 'recording', status: 'fail', detail: sentenceOf(error), mend: 'name another recording' }) as const,
      ),
    ],
  };
}

type Ears = Parameters<Telemetry['watch']>;

function watchRecording(file: string, options: Required<ReplayOptions>, onReading: Ears[0], onRow: Ears[1]): Watching {
  const ending = new AbortController();
  const played = play(file, options, ending.signal, onReading, onRow);
  return {
    stop: async () => {
      ending.abort();
      await played;
    },
  };
}

async function play(
  file: string,
  { clock, speed }: Required<ReplayOptions>,
  signal: AbortSignal,
  onReading: (reading: Reading) => void,
  onRow?: (row: RawRow) => void,
): Promise<void> {
  const heard = new Set<LostReading['source']>();
  const began = clock.monotonic();
  let first: number | null = null;
  let last = clock.now();
  let reason = 'the recording is over';
  try {
    for await (const { at, row, reading } of playRecording(file)) {
      first ??= at;
      await pause(clock, began + (at - first) / speed - clock.monotonic(), signal);
      last = at;
      if (row !== null) onRow?.(row);
      if (reading === null || reading.kind === 'mark') continue;
      heard.add(sourceOf(reading));
      onReading(reading);
    }
  } catch (error) {
    if (signal.aborted) return;
    reason = sentenceOf(error);
  }
  if (signal.aborted) return;
  const silent = heard.size === 0 ? (['nvidia-smi'] as const) : heard;
  for (const source of silent) onReading({ kind: 'lost', at: last, source, reason });
}

function sourceOf(reading: Reading): LostReading['source'] {
  switch (reading.kind) {
    case 'power':
      return 'nvidia-smi';
    case 'counter':
      return 'nvml';
    case 'wall':
      return 'plug';
    case 'package':
      return 'rapl';
    case 'lost':
      return reading.source;
  }
}

/** So many lines show a row of each card, or the rows have none of it. */
const LINES_LOOKED_AT = 200;

async function cardsOf(file: string): Promise<readonly Gpu[]> {
  const { uuids, names, driver } = await metadataOf(file);
  const rows = new Map<string, Partial<Gpu>>();
  let looked = 0;
  for await (const { row } of playRecording(file)) {
    looked += 1;
    const seen = row === null ? null : cardOf(row);
    if (seen !== null && !rows.has(seen.uuid)) rows.set(seen.uuid, seen);
    if (looked >= LINES_LOOKED_AT || uuids.every((uuid) => rows.has(uuid))) break;
  }
  return uuids.map((uuid, place) => ({
    ...UNSEEN,
    ...rows.get(uuid),
    uuid,
    driver,
    name: names[place] ?? 'NVIDIA',
    index: rows.get(uuid)?.index ?? place,
  }));
}

const UNSEEN = { vendor: 'nvidia', memory: null, memoryUsed: null, power: null, powerLimit: null } as const;

function cardOf({ at, fields, row }: RawRow): (Partial<Gpu> & { readonly uuid: string }) | null {
  const reading = rowReader(fields)(row, at);
  if (reading === null) return null;
  const index = numberOf(textOf(cellsOf(row)[fields.indexOf('index')]));
  const { gpu: uuid, memoryTotal: memory, memoryUsed, watts: power, limit: powerLimit } = reading;
  return { uuid, index, memory, memoryUsed, power, powerLimit };
}

async function inventoryOf(file: string, gpus: () => Promise<readonly Gpu[]>): Promise<Inventory> {
  try {
    const [{ machine }, cards] = await Promise.all([metadataOf(file), gpus()]);
    if (machine !== null) return { ...machine, gpus: cards, problems: [] };
    return {
      ...thisHost(),
      gpus: cards,
      problems: ['the recording does not tell its host; this one is named instead'],
    };
  } catch (error) {
    return { ...thisHost(), gpus: [], problems: [sentenceOf(error)] };
  }
}

function thisHost(): Omit<Inventory, 'gpus' | 'problems'> {
  const threads = cpus().length || availableParallelism();
  return {
    host: { os: osType(), kernel: release(), virtual: null },
    cpu: { name: cpus()[0]?.model || 'unknown', cores: threads, threads },
    memory: totalmem(),
  };
}
