import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nanoOf } from '../src/units.ts';
import { ROOT } from './bench-place.ts';
import { type MonthSums, NAMED } from './ledger-month.ts';

export interface Reported {
  readonly seconds: number;
  /** Peak of its resident memory, all threads. */
  readonly megabytes: number;
  readonly sums: MonthSums;
}

/** As `scripts/kilnwatt` starts it. */
const NODE_FLAGS = ['--max-semi-space-size=2', '--heap-growing-percent=15'];

/** Before it ends it writes down the most memory that it ever had. */
const AT_EXIT = `data:text/javascript,${encodeURIComponent(
  "import { writeFileSync } from 'node:fs'; process.on('exit', () => writeFileSync(process.env.PEAK_FILE, String(process.resourceUsage().maxRSS)));",
)}`;

/**
 * `kilnwatt report --month` as a process of its own, from its start to its end.
 * @param data a data folder with the ledger; `scratch` takes what the run leaves behind, compiled modules too
 */
export function timedReport(data: string, scratch: string): Reported {
  const peak = join(scratch, 'peak');
  const words = ['report', '--month', NAMED, '--json', '--data-dir', data];
  const env = {
    PATH: process.env.PATH,
    HOME: scratch,
    KILNWATT_TARIFF_TIMEZONE: 'UTC',
    NODE_COMPILE_CACHE: join(scratch, 'compiled'),
    PEAK_FILE: peak,
  };
  const began = performance.now();
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...NODE_FLAGS, '--import', AT_EXIT, join(ROOT, 'src/main.ts'), ...words],
    { cwd: scratch, env, encoding: 'utf8' },
  );
  const seconds = (performance.now() - began) / 1000;
  if (status !== 0) throw new Error(`kilnwatt report ended with ${status}: ${stderr}`);
  const { energy, costs } = JSON.parse(stdout);
  return {
    seconds,
    megabytes: Number(readFileSync(peak, 'utf8')) / 1000,
    sums: {
      entries: energy.active.entries + energy.overhead.entries,
      millijoules: Math.round((energy.active.kwh + energy.overhead.kwh) * 3.6e9),
      nano: nanoOf(costs.marginal.amount),
    },
  };
}
