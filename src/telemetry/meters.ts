import type { Clock, RawRow, Reading, Telemetry, Watching } from '../ports.ts';
import type { Run } from '../process/program.ts';
import type { Millis } from '../units.ts';
import { type GaugeProgram, gaugeStream } from './gauge.ts';
import { type Plug, watchPlug } from './plug.ts';
import { smiStream } from './smi-stream.ts';

export interface MeterOptions {
  readonly clock: Clock;
  readonly rng: () => number;
  readonly run: Run;
  readonly limit?: Millis;
  readonly hasHardware?: () => Promise<boolean>;
  /** Of nvidia-smi, beside ours. */
  readonly env?: Readonly<Record<string, string>>;
  readonly every?: Millis;
  /** Not set: neither counters nor programs nor processors are read. */
  readonly gauge?: GaugeProgram | undefined;
  readonly plug?: Plug | null;
  readonly fetch?: typeof fetch;
}

type Watcher = Parameters<Telemetry['watch']>;

/**
 * All meters of this host, for any number of watchers: their programs start with the first and end with the last. A
 * watcher that comes later hears what is read from then on.
 */
export function sharedMeters(options: MeterOptions): Telemetry['watch'] {
  const watchers = new Set<Watcher>();
  let running: readonly Watching[] = [];
  let ended: Promise<unknown> = Promise.resolve();
  const ears = {
    onReading: (reading: Reading) => {
      for (const [onReading] of watchers) onReading(reading);
    },
    onRow: (row: RawRow) => {
      for (const [, onRow] of watchers) onRow?.(row);
    },
  };
  return (...watcher) => {
    watchers.add(watcher);
    if (watchers.size === 1) running = startMeters(options, ears);
    return {
      stop: async () => {
        const isLast = watchers.delete(watcher) && watchers.size === 0;
        if (isLast) ended = Promise.all(running.map((meter) => meter.stop()));
        if (watchers.size === 0) await ended;
      },
    };
  };
}

function startMeters(
  options: MeterOptions,
  ears: { onReading(reading: Reading): void; onRow(row: RawRow): void },
): readonly Watching[] {
  const { clock, rng, gauge, plug, fetch: fetcher = fetch } = options;
  const smi = smiStream({ ...options, python: gauge?.python }, ears);
  const others = [
    ...(gauge === undefined ? [] : [gaugeStream({ ...gauge, clock, rng }, ears.onReading)]),
    ...(plug === undefined || plug === null ? [] : [watchPlug({ plug, clock, fetch: fetcher }, ears.onReading)]),
  ];
  return [smi, ...others];
}
