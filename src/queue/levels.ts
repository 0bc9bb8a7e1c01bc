import type { Priority } from '../ports.ts';

/** A place in the order of the queue: interactive jobs before bulk ones, and of each the clean before the suspects. */
export interface Level {
  readonly priority: Priority;
  readonly behind: boolean;
}

/**
 * As BullMQ counts: lower goes first, and without a number before all others. `bulk` is what every job had before there
 * were levels.
 */
const NUMBERS = {
  interactive: { clean: 100, behind: 200 },
  bulk: { clean: 1_000, behind: 2_000 },
} as const;

export function numberOf({ priority, behind }: Level): number {
  return NUMBERS[priority][behind ? 'behind' : 'clean'];
}

export function isBehind(number: number): boolean {
  return number === NUMBERS.interactive.behind || number === NUMBERS.bulk.behind;
}
