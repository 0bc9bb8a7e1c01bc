import type { WorkerOptions } from 'bullmq';
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

/**
 * BullMQ's defaults, but for the times: with the lock of 30 s that it has by default, each death would take a minute.
 * `maxStalledCount` is what decides here, and stays at its default of 1.
 */
export const WORKER_OPTIONS = { concurrency: AT_ONCE, lockDuration: 4_000, stalledInterval: 1_500 } satisfies Omit<
  WorkerOptions,
  'connection'
>;
