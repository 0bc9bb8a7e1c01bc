import type { Millis } from '../../src/units.ts';

export const BARE_QUEUE = 'bare';

export interface BareJob {
  readonly seed: number;
  /** Ends its worker each time. */
  readonly poisoned: boolean;
}

/** A batch of eight of the fake engine takes as long. */
export const PICTURE_MS: Millis = 100;
export const AT_ONCE = 8;

/** What decides here: what stalls more than once fails. Neither form changes BullMQ's default. */
const MOST_STALLS = 1;

/** What of BullMQ's worker the user of the script is told. */
export interface BareOptions {
  readonly concurrency: number;
  readonly lockDuration: Millis;
  readonly stalledInterval: Millis;
  readonly maxStalledCount: number;
}

/**
 * BullMQ's defaults, but for the times, unless they are to be true: with a lock of 30 s, each death takes a minute.
 * `maxStalledCount` stays at its default.
 */
export function bareOptions(trueDefaults: boolean): BareOptions {
  const times = trueDefaults
    ? { lockDuration: 30_000, stalledInterval: 30_000 }
    : { lockDuration: 4_000, stalledInterval: 1_500 };
  return { concurrency: AT_ONCE, ...times, maxStalledCount: MOST_STALLS };
}
