import type { CounterReading } from '../ports.ts';
import type { Watts } from '../units.ts';

/** What of a card's time, or of what is computed there, is taken for nothing: a desktop flickers. */
const NOTHING = 0.05;
/** Above what it draws at rest, by these, a card works. */
const WORKING = { factor: 1.5, watts: 10 };

/** What is known of a short stretch of a card, up to a reading. */
export interface Sight {
  /** Null where the card does not tell, or not in the stretch. */
  readonly processes: CounterReading['processes'];
  /** Pids of our workers there. */
  readonly ours: readonly number[];
  /** Whether the list was seen to name a worker of ours: in a container pids are others than the driver's. */
  readonly known: boolean;
  /** Means over the stretch; null where nobody told. */
  readonly utilization: number | null;
  readonly watts: Watts | null;
  /** The least that the card was seen to draw while ours rested; null where that is not known yet. */
  readonly floor: Watts | null;
}

export interface Look {
  /** Who computed while ours rested; `untold` where neither list nor use nor power say anything. */
  readonly resting: 'none' | 'process' | 'load' | 'untold';
  /** What part of what was computed others had, 0 … 1; null where they did and their part is not told. */
  readonly share: number | null;
  /** The list of processes says who is there. */
  readonly told: boolean;
}

export function lookOf(sight: Sight): Look {
  const { processes, ours, known } = sight;
  const isOurs = ({ pid }: { readonly pid: number }) => ours.includes(pid);
  if (processes === null || !(known || ours.length === 0 || processes.some(isOurs)))
    return { resting: works(sight) ?? 'untold', share: 0, told: false };
  const theirs = partOf(processes.filter((one) => !isOurs(one)));
  const own = partOf(processes.filter(isOurs)) ?? 0;
  return { resting: restingBeside(theirs, own, works(sight)), share: shareOf(theirs, own), told: true };
}

function restingBeside(theirs: number | null, own: number, worked: 'load' | 'none' | null): Look['resting'] {
  if (theirs !== null && theirs > NOTHING) return 'process';
  // It is there, and how much it does is not told.
  if (theirs === null) return worked === null ? 'untold' : worked === 'load' ? 'process' : 'none';
  // What is drawn may also be of a program that has no place in the list, unless it is our own.
  return own > NOTHING ? 'none' : (worked ?? 'none');
}

/** Whether the card works while ours rests, by its use, else by its draw; null where neither is told. */
function works({ utilization, watts, floor }: Sight): 'load' | 'none' | null {
  if (utilization !== null) return utilization > NOTHING ? 'load' : 'none';
  if (watts === null) return null;
  return floor !== null && watts > floor * WORKING.factor + WORKING.watts ? 'load' : 'none';
}

/** Null where one of them has a part that is not told. */
function partOf(processes: NonNullable<CounterReading['processes']>): number | null {
  let part = 0;
  for (const { share } of processes) {
    if (share === null) return null;
    part += share;
  }
  return part;
}

function shareOf(theirs: number | null, own: number): number | null {
  if (theirs === null) return null;
  return theirs === 0 ? 0 : theirs / (theirs + own);
}
