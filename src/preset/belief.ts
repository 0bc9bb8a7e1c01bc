import type { EpochMillis, Millis } from '../units.ts';

/** What is known of an engine's memory with pictures of one shape on one device. */
export interface Fit {
  /** The largest batch that may still be tried; 0: not even one picture fits. */
  readonly limit: number;
  /** What ran out of memory: batches of these sizes, in the order of the tries, or the load already. */
  readonly tried: readonly number[] | 'load';
}

const DAY: Millis = 24 * 60 * 60_000;

/**
 * For how long a limit is believed. What else was in the memory then (a game, a browser, another model) is gone some
 * day, and a try costs one load. Where smaller batches are made all the same, a month is soon enough; where not even
 * one picture fits, jobs fail for it, and the next night is to find out.
 */
const BELIEF = { smaller: 30 * DAY, none: DAY } as const satisfies Readonly<Record<string, Millis>>;

/** One that comes from the future, because the clock was set, is believed for no longer than one that is as old. */
export function isBelieved(
  { limit, at }: { readonly limit: number; readonly at: EpochMillis },
  now: EpochMillis,
): boolean {
  return Math.abs(now - at) < beliefIn(limit);
}

export function beliefIn(limit: number): Millis {
  return limit === 0 ? BELIEF.none : BELIEF.smaller;
}

/** Whether a measurement still says how it is now: drivers, clocks and packages change. */
export function isFresh({ at }: { readonly at: EpochMillis }, now: EpochMillis): boolean {
  return Math.abs(now - at) < BELIEF.smaller;
}
