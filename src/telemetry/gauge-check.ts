import type { Check, Gpu } from '../ports.ts';
import type { NvmlLine } from './gauge-line.ts';

/** What can be read of each card's energy. @param read what {@link gaugeOnce} found */
export function gaugeChecks(gpus: readonly Gpu[], read: readonly NvmlLine[] | string): readonly Check[] {
  if (typeof read === 'string') {
    const detail = `no energy counter can be read: ${read}`;
    const mend = read.includes('not installed') ? SET_UP : UNCOUNTED;
    return [{ name: 'energy', status: 'warn', detail, mend }];
  }
  return gpus.map((gpu) =>
    lineOf(
      gpu,
      read.filter(({ uuid }) => uuid === gpu.uuid),
    ),
  );
}

const UNCOUNTED = 'nothing need be done: energy is summed up from samples of the power, less exactly';
const SET_UP = 'set up the Python environment anew with scripts/setup';
const UNLISTED = 'keep other programs off the card, since what they burn cannot be told apart';

function lineOf({ index }: Gpu, lines: readonly NvmlLine[]): Check {
  const figures: readonly (readonly [string, boolean])[] = [
    ['counter', counts(lines)],
    ['power of the instant', lines.some(({ mw }) => typeof mw === 'number')],
    ['programs', lines.some(({ processes }) => Array.isArray(processes))],
  ];
  const named = (readable: boolean) => figures.filter(([, is]) => is === readable).map(([name]) => name);
  const told = named(true).join(', ') || 'nothing';
  const untold = named(false).join(', ');
  if (untold === '') return { name: 'energy', status: 'ok', detail: `${index}: ${told} are read` };
  const mend = named(false).includes('counter') ? UNCOUNTED : UNLISTED;
  return { name: 'energy', status: 'warn', detail: `${index}: read: ${told}; not to be had: ${untold}`, mend };
}

/** Even at rest a card burns some watts, so that a counter which stands still is none. */
function counts(lines: readonly NvmlLine[]): boolean {
  const readings = lines.flatMap(({ mj }) => mj ?? []);
  const [first, last] = [readings[0], readings.at(-1)];
  return first !== undefined && last !== undefined && last > first;
}
