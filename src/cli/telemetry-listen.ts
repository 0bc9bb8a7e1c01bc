import type { Gpu, Reading, Watching } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import type { App, Interrupts } from './app.ts';

export interface ListenOptions {
  readonly interrupts: Pick<Interrupts, 'take' | 'count'>;
  /** Null: until Ctrl-C. */
  readonly lasts: Millis | null;
  onReading(reading: Reading): void;
  /** How the meters are heard, where that is not by the host's own telemetry alone. */
  start?(hear: (reading: Reading) => void): Promise<Watching>;
  /** Looked at now and then: it ends when this is true. */
  isOver?(): boolean;
  /** Each second, with those that have gone by. */
  onSecond?(seconds: number): void;
}

/** `over`: the time is up, or it was told to end. `silent`: there is no meter here that tells anything. */
export type Listened = 'over' | 'silent';

/** Hears all meters until the time is up or Ctrl-C. A host without a card and without a plug is given up after a while. */
export async function listen(app: App, cards: Cards, options: ListenOptions): Promise<Listened> {
  const { clock, telemetry } = app;
  const { interrupts, lasts, onReading, onSecond, isOver = () => false } = options;
  // Nothing else keeps the process alive where no meter has a program.
  const awake = setInterval(() => {}, 60_000);
  let heard = cards.gpus.length > 0 || cards.error !== null || app.loaded.config.energy.plug !== null;
  interrupts.take();
  const hear = (reading: Reading) => {
    heard ||= reading.kind !== 'lost';
    onReading(reading);
  };
  let watching: Watching | null = null;
  try {
    watching = (await options.start?.(hear)) ?? telemetry.watch(hear);
    const start = clock.monotonic();
    for (let seconds = 0; interrupts.count() === 0 && !isOver(); ) {
      await pause(clock, LOOK_MS);
      const passed = clock.monotonic() - start;
      if (!heard && passed >= PATIENCE_MS) return 'silent';
      if (passed >= (seconds + 1) * 1000) {
        seconds = Math.floor(passed / 1000);
        onSecond?.(seconds);
      }
      if (lasts !== null && passed >= lasts) break;
    }
    return heard || isOver() || clock.monotonic() - start < HEARD_MS ? 'over' : 'silent';
  } finally {
    clearInterval(awake);
    await watching?.stop();
  }
}

/** The cards of nvidia-smi, or why it does not answer; its stream is tried all the same. */
export interface Cards {
  readonly gpus: readonly Gpu[];
  /** By UUID. */
  readonly names: ReadonlyMap<string, string>;
  readonly error: unknown;
}

export async function cardsOf({ telemetry }: Pick<App, 'telemetry'>): Promise<Cards> {
  try {
    const gpus = await telemetry.gpus();
    return {
      gpus,
      names: new Map(gpus.flatMap(({ uuid, name }) => (uuid === null ? [] : [[uuid, name]]))),
      error: null,
    };
  } catch (error) {
    return { gpus: [], names: new Map(), error };
  }
}

/** What is meant where nothing can be measured. */
export function noMeterHere(app: App): string {
  const { cpuWatts, gpuWatts } = app.loaded.config.energy;
  return `There is no meter here: no NVIDIA card, no energy counter of the CPU that may be read, and no plug in energy.plug_url. The energy of pictures is assumed: their time x energy.cpu_watts (${cpuWatts} W), or energy.gpu_watts (${gpuWatts} W) on a card.`;
}

const LOOK_MS: Millis = 100;
/** A meter of the CPU is heard after a second, where there is one and the host is not busy. */
const PATIENCE_MS: Millis = 5_000;
/** Where it is ended sooner than that, so long is enough to say that there is none. */
const HEARD_MS: Millis = 2_000;
