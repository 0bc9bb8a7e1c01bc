import { UnavailableError } from '../errors.ts';
import type { Clock, LostReading, PowerReading, RawRow } from '../ports.ts';
import type { Millis } from '../units.ts';
import { hasNvidiaHardware } from './hardware.ts';
import { type KeptMeter, keepMeter, type MeterProgram } from './meter-program.ts';
import { findNvidiaSmi, type NvidiaOptions, saysNoDevices } from './nvidia.ts';
import { chooseFields } from './smi-fields.ts';
import { rowReader, STREAM_WISHES } from './smi-row.ts';

export interface SmiStreamOptions extends NvidiaOptions {
  readonly clock: Clock;
  readonly rng: () => number;
  /** Binds nvidia-smi to this process where there is no setpriv. */
  readonly python?: string | undefined;
  /** Added to the environment of nvidia-smi. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly every?: Millis | undefined;
}

export interface SmiStreamEars {
  onReading(reading: PowerReading | LostReading): void;
  /** Before its reading, and for rows of which none is made too. */
  onRow?: (row: RawRow) => void;
}

export interface SmiStream extends KeptMeter {
  /** Lines that were no whole row of a card; nothing was made of them. */
  readonly skipped: number;
}

const EVERY_MS: Millis = 200;
const PATIENCE_MS: Millis = 15_000;
/** A card is gone when all others were heard so often without it: five seconds. */
const MISSED_ROUNDS = 25;

/** One nvidia-smi for all cards, for as long as it is watched. Silent where there is no nvidia-smi, or no card. */
export function smiStream(options: SmiStreamOptions, ears: SmiStreamEars): SmiStream {
  const { clock, every = EVERY_MS } = options;
  const roll = new Roll();
  let fields: readonly string[] = [];
  let read = rowReader(fields);
  let skipped = 0;
  let spoke = false;
  const onLost = (reason: string) =>
    ears.onReading({ kind: 'lost', at: clock.now(), source: 'nvidia-smi', reason: `nvidia-smi: ${reason}` });
  const kept = keepMeter({
    clock,
    rng: options.rng,
    python: options.python,
    patience: PATIENCE_MS,
    prepare: async () => {
      const found = await queryFor(options);
      if (found === undefined) return undefined;
      fields = found.fields;
      read = rowReader(fields);
      return programOf(found, every, options.env);
    },
    onLine: (row) => {
      const at = clock.now();
      ears.onRow?.({ at, fields, row });
      const reading = read(row, at);
      if (reading === null) {
        skipped += 1;
        return false;
      }
      spoke = true;
      ears.onReading(reading);
      for (const gone of roll.heard(reading.gpu)) onLost(`${gone} has vanished from its rows`);
      return true;
    },
    onLost: (reason) => {
      roll.forget();
      onLost(reason);
    },
    isOver: (_, lastWords) => !spoke && saysNoDevices(lastWords),
  });
  return {
    over: kept.over,
    stop: kept.stop,
    get skipped() {
      return skipped;
    },
  };
}

interface Query {
  readonly program: string;
  readonly fields: readonly string[];
}

async function queryFor({ run, limit, hasHardware = hasNvidiaHardware }: NvidiaOptions): Promise<Query | undefined> {
  try {
    const found = await findNvidiaSmi(run, limit);
    if (found === undefined) return undefined;
    return { program: found.program, fields: [...chooseFields(found.help, STREAM_WISHES).values()] };
  } catch (error) {
    // A leftover of a driver on a machine without a card has nothing to say.
    if (error instanceof UnavailableError && !(await hasHardware())) return undefined;
    throw error;
  }
}

function programOf({ program, fields }: Query, every: Millis, env: SmiStreamOptions['env']): MeterProgram {
  const args = [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits', '-lms', String(every)];
  return { command: program, args, env: { LC_ALL: 'C', ...env } };
}

/** Which cards are heard. Counted by rows and not by time, so that a host which slept has lost none. */
class Roll {
  readonly #missed = new Map<string, number>();

  /** The cards that are gone as of this row, each named once until it is heard again. */
  heard(card: string): readonly string[] {
    this.#missed.set(card, 0);
    const others = [...this.#missed.keys()].filter((other) => other !== card);
    const limit = MISSED_ROUNDS * others.length;
    return others.filter((other) => {
      const missed = (this.#missed.get(other) ?? 0) + 1;
      this.#missed.set(other, missed);
      return missed === limit;
    });
  }

  forget(): void {
    this.#missed.clear();
  }
}
