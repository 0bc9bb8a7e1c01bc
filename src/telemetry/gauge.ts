import type { Clock, CounterReading, LostReading, PackageReading } from '../ports.ts';
import { runBriefly } from '../process/run-briefly.ts';
import type { Millis } from '../units.ts';
import { counterOf, gaugeLineOf, type NvmlLine } from './gauge-line.ts';
import { type KeptMeter, keepMeter } from './meter-program.ts';
import { Rising } from './rising.ts';

/** How `kilnwatt_worker.gauge` is started. */
export interface GaugeProgram {
  readonly python: string;
  readonly workerDir: string;
  /** Beside ours; never logged. */
  readonly env?: Readonly<Record<string, string>>;
  readonly every?: Millis;
}

export interface GaugeOptions extends GaugeProgram {
  readonly clock: Clock;
  readonly rng: () => number;
}

export type GaugeReading = CounterReading | PackageReading | LostReading;

const EVERY_MS: Millis = 1_000;
/** NVML wakes up each card of a driver that rests. */
const PATIENCE_MS: Millis = 30_000;
const ONCE_LIMIT_MS: Millis = 15_000;
/** Exit code of a gauge that has nothing to read. */
const NOTHING = 3;

/** Runs the gauge for as long as it is watched. Silent where there is neither NVML nor RAPL. */
export function gaugeStream(options: GaugeOptions, onReading: (reading: GaugeReading) => void): KeptMeter {
  const { clock, rng, python } = options;
  const packages = new Rising();
  const heard = new Set<'nvml' | 'rapl'>();
  const readingOf = (line: NonNullable<ReturnType<typeof gaugeLineOf>>): GaugeReading => {
    if (line.src === 'nvml') return counterOf(line);
    // The program counts from its own start.
    return { kind: 'package', at: line.t, millijoules: packages.next(line.mj) };
  };
  return keepMeter({
    clock,
    rng,
    python,
    patience: PATIENCE_MS,
    prepare: async () => ({ command: python, args: argumentsOf(options), env: environmentOf(options) }),
    onLine: (text) => {
      const line = gaugeLineOf(text);
      if (line === null) return false;
      heard.add(line.src);
      onReading(readingOf(line));
      return true;
    },
    onLost: (reason) => {
      const at = clock.now();
      const sources = heard.size === 0 ? (['nvml'] as const) : [...heard];
      for (const source of sources) onReading({ kind: 'lost', at, source, reason: `the gauge: ${reason}` });
    },
    // A driver that was there before is being replaced.
    isOver: ({ code }) => code === NOTHING && heard.size === 0,
  });
}

/** Two readings of each card, a second apart, in their order; the reason where there are none. */
export async function gaugeOnce(program: GaugeProgram): Promise<readonly NvmlLine[] | string> {
  const ran = await runBriefly(program.python, [...argumentsOf(program), '--readings', '2'], {
    limit: ONCE_LIMIT_MS,
    env: environmentOf(program),
  });
  const lines = ran.output
    .split('\n')
    .map(gaugeLineOf)
    .filter((line) => line?.src === 'nvml');
  return lines.length > 0 ? lines : ran.complaint || 'it said nothing';
}

function argumentsOf({ every = EVERY_MS }: GaugeProgram): readonly string[] {
  // -P: a file of the working folder must not stand in for a package of the same name.
  return ['-P', '-m', 'kilnwatt_worker.gauge', '--interval-ms', String(every)];
}

function environmentOf({ workerDir, env }: GaugeProgram): Readonly<Record<string, string>> {
  return { PYTHONPATH: workerDir, ...env };
}
